// Made by `thornback gen` from the package demo:images@1.0.0. Do not edit: change the interface and make it again.

/// A picture and how large it is.
#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]
#[serde(crate = "::thornback::interface::serde", deny_unknown_fields)]
pub struct Image {
    /// The field `width`.
    pub width: u32,
    /// The field `height`.
    pub height: u32,
    /// Three bytes a pixel, row by row.
    pub pixels: ::thornback::Bytes,
}

/// Pictures, made smaller and described.
#[allow(clippy::module_inception)]
pub mod images {
    /// What those who serve it have to serve, for `Pool::interface`.
    pub const INTERFACE: &[::thornback::interface::Served] = &[
        ::thornback::interface::Served { name: "images.resize", args: 2, actor: false, signature: "func(image: list<u8>, width: u32) -> record{width: u32, height: u32, pixels: list<u8>}" },
    ];

    /// Resizes a picture, keeping what it shows.
    pub static RESIZE: ::thornback::Task<(::thornback::Bytes,u32,), ::thornback::Ref<super::Image>> = ::thornback::Task::typed("images.resize", "func(image: list<u8>, width: u32) -> record{width: u32, height: u32, pixels: list<u8>}");

    /// What a type implements to serve `images`.
    pub trait Functions: 'static {
        /// Resizes a picture, keeping what it shows.
        fn resize(image: ::thornback::Bytes, width: u32) -> impl Future<Output = ::thornback::Result<super::Image>> + Send;
    }

    /// Has a worker serve `images`.
    pub fn serve<F: Functions>(worker: ::thornback::Worker) -> ::thornback::Worker {
        worker
            .define(::thornback::interface::Definition {
                name: "images.resize",
                args: 2,
                signature: "func(image: list<u8>, width: u32) -> record{width: u32, height: u32, pixels: list<u8>}",
                run: |mut call| Box::pin(async move {
                    let image = call.typed_arg::<::thornback::Bytes>("resize", "image")?;
                    let width = call.typed_arg::<u32>("resize", "width")?;
                    call.no_more_args()?;
                    ::thornback::interface::one(F::resize(image, width).await?)
                }),
            })
    }
}
