//! State that lives in a worker: order, names, ends, errors.
//!
//! Run it with a `thornback` on PATH, or with THORNBACK_BINARY set: `cargo run -p thornback --example actors`. It prints
//!
//! ```text
//! balance after each: [110, 85, 85]
//! withdraw failed with TASK_FAILED: only 85 are left
//! found by its name: 85
//! closed: ACTOR_DIED
//! ```

use thornback::{Client, Context, Pool, Result, Worker};

struct Account {
    balance: i64,
}

#[derive(Debug)]
struct Overdrawn(i64);

impl std::fmt::Display for Overdrawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "only {} are left", self.0)
    }
}

impl std::error::Error for Overdrawn {}

#[thornback::actor]
impl Account {
    fn new(balance: i64) -> Self {
        Account { balance }
    }

    /// Methods with `&mut self` run one at a time.
    async fn deposit(&mut self, amount: i64) -> i64 {
        self.balance += amount;
        self.balance
    }

    async fn withdraw(&mut self, amount: i64) -> std::result::Result<i64, Overdrawn> {
        if amount > self.balance {
            return Err(Overdrawn(self.balance));
        }
        self.balance -= amount;
        Ok(self.balance)
    }

    /// Those with `&self` may run beside each other, if `max_concurrency` allows it.
    async fn balance(&self) -> i64 {
        self.balance
    }

    async fn close(&self, cx: &Context) {
        cx.exit_actor();
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    if Worker::is_launched() {
        return Worker::new().register_actor::<Account>().serve().await;
    }
    let client = Client::local().await?;
    client.declare_pool(Pool::this_program("actors").serves_actor::<Account>()).await?;

    // With a name others can find it; it is there once this is done.
    let account = AccountHandle::options().create_named(&client, "savings", 100).await?;
    let balances = [account.deposit(10), account.withdraw(25), account.balance()];
    println!("balance after each: {:?}", thornback::get_all(&balances).await?);

    let error = account.withdraw(1000).await.expect_err("it is not there");
    println!("withdraw failed with {}: {}", error.code().map_or("?", |code| code.name()), error.message());

    let same = AccountHandle::find(&client, "savings").await?;
    println!("found by its name: {}", same.balance().await?);

    same.close().await?;
    let error = account.balance().await.expect_err("it has ended itself");
    println!("closed: {}", error.code().map_or("?", |code| code.name()));
    Ok(())
}
