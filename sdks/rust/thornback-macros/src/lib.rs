//! The attribute macros of the `thornback` crate, which re-exports them. Use them from there.
//!
//! Both leave the code that they are written on as it is, and write remote callers and decoders beside it; everything that happens at
//! run time is in `thornback` itself.

#![forbid(unsafe_code)]

mod actor;
mod options;
mod signature;
mod task;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a function callable from other processes.
///
/// The function stays what it is and can still be called directly. Beside it, in the namespace of types, stands an item of the same name with
///
/// - `name::submit(&client, args…)`, which submits a call and gives a `Ref` at once;
/// - `name::options()`, which gives the [`Task`](../thornback/struct.Task.html) to set options on and submit with.
///
/// Each argument may be given as a value, a reference to one, or a `Ref` to the result of another call.
///
/// ```
/// use thornback::{Client, Context, Result, Stream};
///
/// #[thornback::task]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// // Errors of any kind, and a name that programs in other languages use.
/// #[thornback::task(name = "text.parse", num_cpus = 0.5, max_retries = 0)]
/// fn parse(text: String) -> std::result::Result<f64, std::num::ParseFloatError> {
///     text.parse()
/// }
///
/// // Many results, as they come.
/// #[thornback::task]
/// fn count(n: u64) -> impl Stream<Item = u64> {
///     futures_util::stream::iter(0..n)
/// }
///
/// // The context is not an argument of the call.
/// #[thornback::task]
/// async fn twice(cx: &Context, n: i64) -> Result<i64> {
///     add::submit(cx, n, n).await
/// }
///
/// async fn example(client: Client) -> Result<()> {
///     let three = add::submit(&client, 1, 2);
///     let six = add::submit(&client, &three, three.clone()).await?;
///     let parsed = parse::options().num_cpus(0.25).submit(&client, "1.5").await?;
///     assert_eq!(add(1, 2).await, 3); // a plain call, here
///     Ok(())
/// }
/// ```
///
/// # Parameters and results
///
/// Parameters are owned types that `serde` can write and read. The first may be a `Context` or `&Context`. What it returns is such a type, a
/// `Result` of one whose error converts into `Box<dyn Error + Send + Sync>`, or `impl Stream<Item = …>` of either. It may be `async` or not; one that is not
/// keeps its worker busy and cannot be interrupted, but can look at `Context::is_cancelled`.
///
/// # Options
///
/// `name = "…"`, `label = "…"`, `pool = "…"`, `num_cpus = 0.5`, `num_gpus = 1`, `memory = 1_000_000` (bytes), `resources("name" = 1.0)`,
/// `max_retries = 3`, `retry_exceptions = true`, `retry_types = ["…"]`, `deadline_ms = 1000`, `stream_window = 64`, and `num_returns = N`: for a function that returns a tuple of `N`, each element
/// becomes an object of its own (0: nothing can be got). Without `name`, the function is called by its path, `"crate::module::function"`.
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(args as options::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    task::expand(&options, &function).unwrap_or_else(|error| with_error(&function, &error)).into()
}

/// Makes the values of a type callable from other processes.
///
/// Written on an `impl` block. `new` is the constructor; every function with `&self` or `&mut self` is a method that can be called remotely. Helpers go
/// into another `impl` block. The code stays what it is; beside it stands a handle, named like the type with `Handle` behind, which has
///
/// - `create(&client, args…)` and `options()`, which gives the [`Class`](../thornback/struct.Class.html) to set options on and create with;
/// - `find(&client, name)`, for an actor that was created with a name;
/// - the methods, each of which gives a `Ref` at once.
///
/// ```
/// use thornback::{Client, Result};
///
/// struct Counter {
///     n: i64,
/// }
///
/// #[thornback::actor]
/// impl Counter {
///     fn new(start: i64) -> Self {
///         Counter { n: start }
///     }
///
///     async fn add(&mut self, by: i64) -> i64 {
///         self.n += by;
///         self.n
///     }
/// }
///
/// async fn example(client: Client) -> Result<()> {
///     let counter = CounterHandle::create(&client, 0);
///     assert_eq!(counter.add(5).await?, 5);
///     let shared = CounterHandle::options().max_restarts(1).create_named(&client, "shared", 0).await?;
///     let found = CounterHandle::find(&client, "shared").await?;
///     Ok(())
/// }
/// ```
///
/// Calls that one client sends to one actor start in the order in which they were sent. With `max_concurrency` above 1, methods with `&self` run at the
/// same time, those with `&mut self` alone. A call that is cancelled is dropped where it awaits, and leaves the value as it is then. The type must be `Send` and `Sync`.
///
/// # Options
///
/// `name = "…"` (the class's name for other languages; without it the type's path), `label = "…"`, `pool = "…"`, `num_cpus`, `num_gpus`, `memory`, `resources(…)`,
/// `max_restarts = 1`, `max_task_retries = 1`, `max_concurrency = 10`, `max_pending_calls = 100`.
#[proc_macro_attribute]
pub fn actor(args: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(args as options::Options);
    let block = parse_macro_input!(item as syn::ItemImpl);
    actor::expand(&options, &block).unwrap_or_else(|error| with_error(&block, &error)).into()
}

/// The code as it was and the error, so that nothing else is reported as missing.
fn with_error(item: &impl quote::ToTokens, error: &syn::Error) -> proc_macro2::TokenStream {
    let error = error.to_compile_error();
    quote::quote! { #item #error }
}
