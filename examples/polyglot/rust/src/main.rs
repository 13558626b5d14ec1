//! `polyglot worker` counts and scores terms; `polyglot driver [DIRECTORY] [--out FILE]` runs the pipeline, whose other stages are in other
//! languages: it calls them by name and passes refs from one to the next.

mod driver;
mod terms;

use std::error::Error;

use thornback::Worker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("worker") => {
            Ok(Worker::new().register::<terms::count>().register::<terms::score>().serve().await?)
        }
        Some("driver") => driver::run(arguments).await,
        _ => {
            eprintln!("usage: polyglot worker | polyglot driver [DIRECTORY] [--out FILE]");
            std::process::exit(2);
        }
    }
}
