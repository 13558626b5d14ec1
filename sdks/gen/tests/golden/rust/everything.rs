// Made by `thornback gen` from the package demo:everything. Do not edit: change the interface and make it again.

/// A point in the plane.
#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", deny_unknown_fields)]
pub struct Point {
    /// The field `x`.
    pub x: f64,
    /// The field `y`.
    pub y: f64,
}

/// What can be drawn.
#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", from = "ShapeWire", into = "ShapeWire")]
pub enum Shape {
    /// Nothing at all.
    Empty,
    /// The case `circle`.
    Circle(f64),
    /// The case `polygon`.
    Polygon(Vec<Point>),
}

#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", rename = "Shape")]
enum ShapeWire {
    #[serde(rename = "empty")]
    Empty(()),
    #[serde(rename = "circle")]
    Circle(f64),
    #[serde(rename = "polygon")]
    Polygon(Vec<Point>),
}

impl From<ShapeWire> for Shape {
    fn from(value: ShapeWire) -> Shape {
        match value {
            ShapeWire::Empty(()) => Shape::Empty,
            ShapeWire::Circle(held) => Shape::Circle(held),
            ShapeWire::Polygon(held) => Shape::Polygon(held),
        }
    }
}

impl From<Shape> for ShapeWire {
    fn from(value: Shape) -> ShapeWire {
        match value {
            Shape::Empty => ShapeWire::Empty(()),
            Shape::Circle(held) => ShapeWire::Circle(held),
            Shape::Polygon(held) => ShapeWire::Polygon(held),
        }
    }
}

/// From least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde")]
pub enum Level {
    /// The case `low`.
    #[serde(rename = "low")]
    Low,
    /// The case `middle`.
    #[serde(rename = "middle")]
    Middle,
    /// The case `very-high`.
    #[serde(rename = "very-high")]
    VeryHigh,
}

/// The flags `channels`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", try_from = "Vec<String>", into = "Vec<String>")]
#[allow(clippy::struct_excessive_bools)]
pub struct Channels {
    /// The flag `red`.
    pub red: bool,
    /// The flag `green`.
    pub green: bool,
    /// The flag `blue`.
    pub blue: bool,
    /// The flag `alpha`.
    pub alpha: bool,
}

impl TryFrom<Vec<String>> for Channels {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Channels, String> {
        let mut flags = Channels::default();
        for name in names {
            let flag = match name.as_str() {
                "red" => &mut flags.red,
                "green" => &mut flags.green,
                "blue" => &mut flags.blue,
                "alpha" => &mut flags.alpha,
                _ => return Err(format!("{name:?} is no flag of channels")),
            };
            if std::mem::replace(flag, true) {
                return Err(format!("the flag {name:?} is there twice"));
            }
        }
        Ok(flags)
    }
}

impl From<Channels> for Vec<String> {
    fn from(flags: Channels) -> Vec<String> {
        let all = [(flags.red, "red"), (flags.green, "green"), (flags.blue, "blue"), (flags.alpha, "alpha")];
        all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()).collect()
    }
}

/// Each scalar once.
#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", deny_unknown_fields)]
pub struct Scalars {
    /// The field `bool`.
    pub bool: bool,
    /// The field `a-u8`.
    #[serde(rename = "a-u8")]
    pub a_u8: u8,
    /// The field `a-u16`.
    #[serde(rename = "a-u16")]
    pub a_u16: u16,
    /// The field `a-u32`.
    #[serde(rename = "a-u32")]
    pub a_u32: u32,
    /// The field `a-u64`.
    #[serde(rename = "a-u64")]
    pub a_u64: u64,
    /// The field `an-s8`.
    #[serde(rename = "an-s8")]
    pub an_s8: i8,
    /// The field `an-s16`.
    #[serde(rename = "an-s16")]
    pub an_s16: i16,
    /// The field `an-s32`.
    #[serde(rename = "an-s32")]
    pub an_s32: i32,
    /// The field `an-s64`.
    #[serde(rename = "an-s64")]
    pub an_s64: i64,
    /// The field `an-f32`.
    #[serde(rename = "an-f32")]
    pub an_f32: f32,
    /// The field `an-f64`.
    #[serde(rename = "an-f64")]
    pub an_f64: f64,
    /// The field `a-char`.
    #[serde(rename = "a-char")]
    pub a_char: char,
    /// The field `a-string`.
    #[serde(rename = "a-string")]
    pub a_string: String,
}

/// The record `nested`.
#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", deny_unknown_fields)]
pub struct Nested {
    /// The field `scalars`.
    pub scalars: Scalars,
    /// The field `maybe`.
    pub maybe: Option<String>,
    /// The field `outcome`.
    pub outcome: ::thornback::interface::Outcome<u32, String>,
    /// The field `bare`.
    pub bare: ::thornback::interface::Outcome<(), ()>,
    /// The field `pair`.
    pub pair: (u8, String,),
    /// The field `shapes`.
    pub shapes: Vec<Shape>,
    /// The field `grade`.
    pub grade: Level,
    /// The field `channels`.
    pub channels: Channels,
    /// The field `bytes`.
    pub bytes: ::thornback::Bytes,
    /// The field `points`.
    pub points: Vec<Point>,
}

/// Types that more than one interface has.
pub mod shapes {
    /// What those who serve it have to serve, for `Pool::interface`.
    pub const INTERFACE: &[::thornback::interface::Served] = &[
        ::thornback::interface::Served { name: "shapes.area", args: 1, actor: false, signature: "func(shape: variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}) -> f64" },
    ];

    /// Calls `shapes.area`.
    pub static AREA: ::thornback::Task<(super::Shape,), ::thornback::Ref<f64>> = ::thornback::Task::typed("shapes.area", "func(shape: variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}) -> f64");

    /// What a type implements to serve `shapes`.
    pub trait Functions: 'static {
        /// Serves `shapes.area`.
        fn area(shape: super::Shape) -> impl Future<Output = ::thornback::Result<f64>> + Send;
    }

    /// Has a worker serve `shapes`.
    pub fn serve<F: Functions>(worker: ::thornback::Worker) -> ::thornback::Worker {
        worker
            .define(::thornback::interface::Definition {
                name: "shapes.area",
                args: 1,
                signature: "func(shape: variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}) -> f64",
                run: |mut call| Box::pin(async move {
                    let shape = call.typed_arg::<super::Shape>("area", "shape")?;
                    call.no_more_args()?;
                    ::thornback::interface::one(F::area(shape).await?)
                }),
            })
    }
}

/// Every type there is, there and back.
pub mod echo {
    /// What those who serve it have to serve, for `Pool::interface`.
    pub const INTERFACE: &[::thornback::interface::Served] = &[
        ::thornback::interface::Served { name: "echo.there-and-back", args: 1, actor: false, signature: "func(value: record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}) -> record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}" },
        ::thornback::interface::Served { name: "echo.numbers", args: 1, actor: false, signature: "func(values: list<u16>) -> u64" },
        ::thornback::interface::Served { name: "echo.maybe", args: 1, actor: false, signature: "func(value: option<u8>) -> option<u8>" },
        ::thornback::interface::Served { name: "echo.divide", args: 2, actor: false, signature: "func(a: s32, b: s32) -> result<s32, string>" },
        ::thornback::interface::Served { name: "echo.nothing", args: 0, actor: false, signature: "func()" },
        ::thornback::interface::Served { name: "echo.count-down", args: 1, actor: false, signature: "func(from: u32) -> stream<u32>" },
        ::thornback::interface::Served { name: "echo.counter", args: 1, actor: true, signature: "resource{constructor(start: s64); add: func(n: s64) -> s64; history-of: func() -> list<s64>; reset: func(); steps: func(by: u8) -> stream<s64>}" },
    ];

    /// Calls `echo.there-and-back`.
    pub static THERE_AND_BACK: ::thornback::Task<(super::Nested,), ::thornback::Ref<super::Nested>> = ::thornback::Task::typed("echo.there-and-back", "func(value: record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}) -> record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}");

    /// Calls `echo.numbers`.
    pub static NUMBERS: ::thornback::Task<(Vec<u16>,), ::thornback::Ref<u64>> = ::thornback::Task::typed("echo.numbers", "func(values: list<u16>) -> u64");

    /// Calls `echo.maybe`.
    pub static MAYBE: ::thornback::Task<(Option<u8>,), ::thornback::Ref<Option<u8>>> = ::thornback::Task::typed("echo.maybe", "func(value: option<u8>) -> option<u8>");

    /// Calls `echo.divide`.
    pub static DIVIDE: ::thornback::Task<(i32,i32,), ::thornback::Ref<::thornback::interface::Outcome<i32, String>>> = ::thornback::Task::typed("echo.divide", "func(a: s32, b: s32) -> result<s32, string>");

    /// Nothing in, nothing out.
    pub static NOTHING: ::thornback::Task<(), ::thornback::Ref<()>> = ::thornback::Task::typed("echo.nothing", "func()");

    /// Counts down to 1.
    pub static COUNT_DOWN: ::thornback::Task<(u32,), ::thornback::RefStream<u32>> = ::thornback::Task::typed("echo.count-down", "func(from: u32) -> stream<u32>");

    /// Counts, and remembers.
    pub static COUNTER: ::thornback::Class<(i64,), Counter> = ::thornback::Class::typed("echo.counter", "resource{constructor(start: s64); add: func(n: s64) -> s64; history-of: func() -> list<s64>; reset: func(); steps: func(by: u8) -> stream<s64>}");

    /// Counts, and remembers.
    ///
    /// Calls through one that was made of an actor of another class fail with `Code::InvalidArgument`.
    #[derive(Debug, Clone)]
    pub struct Counter(pub ::thornback::ActorHandle);

    impl From<::thornback::ActorHandle> for Counter {
        fn from(handle: ::thornback::ActorHandle) -> Counter {
            Counter(handle.of_class("echo.counter"))
        }
    }

    impl Counter {
        /// Adds, and gives the sum.
        pub fn add(&self, n: impl ::thornback::Arg<i64>) -> ::thornback::Ref<i64> {
            static METHOD: ::thornback::Method<(i64,), ::thornback::Ref<i64>> = ::thornback::Method::typed("add");
            METHOD.call(&self.0, n)
        }

        /// Calls `history-of`.
        pub fn history_of(&self) -> ::thornback::Ref<Vec<i64>> {
            static METHOD: ::thornback::Method<(), ::thornback::Ref<Vec<i64>>> = ::thornback::Method::typed("history-of");
            METHOD.call(&self.0)
        }

        /// Calls `steps`.
        pub fn steps(&self, by: impl ::thornback::Arg<u8>) -> ::thornback::RefStream<i64> {
            static METHOD: ::thornback::Method<(u8,), ::thornback::RefStream<i64>> = ::thornback::Method::typed("steps");
            METHOD.call(&self.0, by)
        }

        /// Calls `reset`.
        pub fn reset(&self) -> ::thornback::Ref<()> {
            static METHOD: ::thornback::Method<(), ::thornback::Ref<()>> = ::thornback::Method::typed("reset");
            METHOD.call(&self.0)
        }
    }

    /// What a type implements whose values are actors `echo.counter`. Its methods run one at a time.
    pub trait CounterActor: Sized + Send + Sync + 'static {
        /// Makes one.
        fn new(start: i64) -> impl Future<Output = ::thornback::Result<Self>> + Send;

        /// Adds, and gives the sum.
        fn add(&mut self, n: i64) -> impl Future<Output = ::thornback::Result<i64>> + Send;

        /// Serves `history-of`.
        fn history_of(&mut self) -> impl Future<Output = ::thornback::Result<Vec<i64>>> + Send;

        /// Serves `steps`.
        fn steps(&mut self, by: u8) -> impl ::thornback::Stream<Item = ::thornback::Result<i64>> + Send;

        /// Serves `reset`.
        fn reset(&mut self) -> impl Future<Output = ::thornback::Result<()>> + Send;
    }

    struct CounterActorMethods<A>(std::marker::PhantomData<A>);

    impl<A: CounterActor> CounterActorMethods<A> {
        const METHODS: &'static [::thornback::interface::MethodDefinition] = &[
            ::thornback::interface::MethodDefinition {
                name: "add",
                args: 1,
                run: |cell, mut call| Box::pin(async move {
                    let n = call.typed_arg::<i64>("add", "n")?;
                    call.no_more_args()?;
                    let mut actor = ::thornback::interface::call_mut::<A>(cell).await?;
                    ::thornback::interface::one(actor.add(n).await?)
                }),
            },
            ::thornback::interface::MethodDefinition {
                name: "history-of",
                args: 0,
                run: |cell, call| Box::pin(async move {
                    call.no_more_args()?;
                    let mut actor = ::thornback::interface::call_mut::<A>(cell).await?;
                    ::thornback::interface::one(actor.history_of().await?)
                }),
            },
            ::thornback::interface::MethodDefinition {
                name: "steps",
                args: 1,
                run: |cell, mut call| Box::pin(async move {
                    let sink = call.sink();
                    let by = call.typed_arg::<u8>("steps", "by")?;
                    call.no_more_args()?;
                    let mut actor = ::thornback::interface::call_mut::<A>(cell).await?;
                    ::thornback::interface::drive(actor.steps(by), sink).await
                }),
            },
            ::thornback::interface::MethodDefinition {
                name: "reset",
                args: 0,
                run: |cell, call| Box::pin(async move {
                    call.no_more_args()?;
                    let mut actor = ::thornback::interface::call_mut::<A>(cell).await?;
                    ::thornback::interface::one(actor.reset().await?)
                }),
            },
        ];
    }

    /// Has a worker serve `echo.counter`.
    pub fn serve_counter<A: CounterActor>(worker: ::thornback::Worker) -> ::thornback::Worker {
        worker.define_actor(::thornback::interface::ClassDefinition {
            name: "echo.counter",
            args: 1,
            signature: "resource{constructor(start: s64); add: func(n: s64) -> s64; history-of: func() -> list<s64>; reset: func(); steps: func(by: u8) -> stream<s64>}",
            create: |mut call| Box::pin(async move {
                let start = call.typed_arg::<i64>("counter", "start")?;
                call.no_more_args()?;
                Ok(::thornback::interface::build(A::new(start).await?))
            }),
            methods: CounterActorMethods::<A>::METHODS,
        })
    }

    /// What a type implements to serve `echo`.
    pub trait Functions: 'static {
        /// Serves `echo.there-and-back`.
        fn there_and_back(value: super::Nested) -> impl Future<Output = ::thornback::Result<super::Nested>> + Send;

        /// Serves `echo.numbers`.
        fn numbers(values: Vec<u16>) -> impl Future<Output = ::thornback::Result<u64>> + Send;

        /// Serves `echo.maybe`.
        fn maybe(value: Option<u8>) -> impl Future<Output = ::thornback::Result<Option<u8>>> + Send;

        /// Serves `echo.divide`.
        fn divide(a: i32, b: i32) -> impl Future<Output = ::thornback::Result<::thornback::interface::Outcome<i32, String>>> + Send;

        /// Nothing in, nothing out.
        fn nothing() -> impl Future<Output = ::thornback::Result<()>> + Send;

        /// Counts down to 1.
        fn count_down(from: u32) -> impl ::thornback::Stream<Item = ::thornback::Result<u32>> + Send;
    }

    /// Has a worker serve `echo`.
    pub fn serve<F: Functions>(worker: ::thornback::Worker) -> ::thornback::Worker {
        worker
            .define(::thornback::interface::Definition {
                name: "echo.there-and-back",
                args: 1,
                signature: "func(value: record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}) -> record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}",
                run: |mut call| Box::pin(async move {
                    let value = call.typed_arg::<super::Nested>("there-and-back", "value")?;
                    call.no_more_args()?;
                    ::thornback::interface::one(F::there_and_back(value).await?)
                }),
            })
            .define(::thornback::interface::Definition {
                name: "echo.numbers",
                args: 1,
                signature: "func(values: list<u16>) -> u64",
                run: |mut call| Box::pin(async move {
                    let values = call.typed_arg::<Vec<u16>>("numbers", "values")?;
                    call.no_more_args()?;
                    ::thornback::interface::one(F::numbers(values).await?)
                }),
            })
            .define(::thornback::interface::Definition {
                name: "echo.maybe",
                args: 1,
                signature: "func(value: option<u8>) -> option<u8>",
                run: |mut call| Box::pin(async move {
                    let value = call.typed_arg::<Option<u8>>("maybe", "value")?;
                    call.no_more_args()?;
                    ::thornback::interface::one(F::maybe(value).await?)
                }),
            })
            .define(::thornback::interface::Definition {
                name: "echo.divide",
                args: 2,
                signature: "func(a: s32, b: s32) -> result<s32, string>",
                run: |mut call| Box::pin(async move {
                    let a = call.typed_arg::<i32>("divide", "a")?;
                    let b = call.typed_arg::<i32>("divide", "b")?;
                    call.no_more_args()?;
                    ::thornback::interface::one(F::divide(a, b).await?)
                }),
            })
            .define(::thornback::interface::Definition {
                name: "echo.nothing",
                args: 0,
                signature: "func()",
                run: |call| Box::pin(async move {
                    call.no_more_args()?;
                    ::thornback::interface::one(F::nothing().await?)
                }),
            })
            .define(::thornback::interface::Definition {
                name: "echo.count-down",
                args: 1,
                signature: "func(from: u32) -> stream<u32>",
                run: |mut call| Box::pin(async move {
                    let sink = call.sink();
                    let from = call.typed_arg::<u32>("count-down", "from")?;
                    call.no_more_args()?;
                    ::thornback::interface::drive(F::count_down(from), sink).await
                }),
            })
    }
}
