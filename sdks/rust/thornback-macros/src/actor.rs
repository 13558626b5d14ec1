//! `#[actor]`: a typed handle beside an `impl` block.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, Ident, ImplItem, ImplItemFn, ItemImpl, Type, Visibility};

use crate::options::Options;
use crate::signature::{Callable, Gives};

pub(crate) fn expand(options: &Options, block: &ItemImpl) -> syn::Result<TokenStream> {
    options.check_for_actor()?;
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new_spanned(
            path,
            "write #[thornback::actor] on an `impl` block of the type itself",
        ));
    }
    if let Some(param) = block.generics.params.first() {
        return Err(Error::new_spanned(
            param,
            "a generic type cannot be an actor: its caller could not say which one it means",
        ));
    }
    let ty = type_name(&block.self_ty)?;
    let functions: Vec<&ImplItemFn> = block
        .items
        .iter()
        .filter_map(|item| if let ImplItem::Fn(function) = item { Some(function) } else { None })
        .collect();
    let new =
        functions.iter().find(|function| function.sig.ident == "new" && function.sig.receiver().is_none());
    let new = new.ok_or_else(|| {
        Error::new_spanned(
            &block.self_ty,
            format!("an actor needs a constructor: `fn new(…) -> Self` in this `impl` of {ty}"),
        )
    })?;
    let methods: Vec<Method<'_>> = functions
        .iter()
        .filter(|function| function.sig.receiver().is_some())
        .map(|function| Method::read(function))
        .collect::<syn::Result<_>>()?;

    let constructor = Constructor::read(new)?;
    let handle = format_ident!("{ty}Handle");
    let vis = &new.vis;
    let cfgs: Vec<_> = block.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let name = match &options.name {
        Some(name) => quote! { #name },
        None => {
            let text = ty.to_string();
            quote! { ::std::concat!(::std::module_path!(), "::", #text) }
        }
    };
    let handle_items = handle_items(&ty, &handle, vis, &constructor, &methods);
    let tuple = constructor.callable.tuple();
    let calls = options.calls();
    let create = constructor.definition(&ty);
    let count = constructor.callable.count();
    let definitions = methods.iter().map(|method| method.definition(&ty));
    let doc = format!(
        "A handle to a [`{ty}`] that lives in a worker; cheap to clone, and can be passed to tasks and actors inside any value."
    );

    Ok(quote! {
        #block

        #(#cfgs)*
        #[doc = #doc]
        #[derive(Clone, PartialEq, Eq, Hash)]
        #vis struct #handle(::thornback::ActorHandle);

        #(#cfgs)*
        const _: () = {
            static CLASS: ::std::sync::LazyLock<::thornback::Class<#tuple, #handle>> =
                ::std::sync::LazyLock::new(|| ::thornback::Class::named(<#ty as ::thornback::ServeActor>::NAME) #calls);

            #handle_items

            impl ::thornback::ServeActor for #ty {
                const NAME: &'static str = #name;

                fn definition() -> ::thornback::__private::ClassDefinition {
                    ::thornback::__private::ClassDefinition { name: Self::NAME, args: #count, signature: "", create: #create, methods: &[#(#definitions),*] }
                }
            }
        };
    })
}

fn handle_items(
    ty: &Ident,
    handle: &Ident,
    vis: &Visibility,
    constructor: &Constructor<'_>,
    methods: &[Method<'_>],
) -> TokenStream {
    let callable = &constructor.callable;
    let (client, params, names, tuple) =
        (callable.client_name(), callable.remote_params(), callable.names(), callable.tuple());
    let callers = methods.iter().map(Method::caller);
    let create_doc = format!("Creates a [`{ty}`] in a worker; see [`Class::create`](::thornback::Class).");
    let options_doc = format!("[`{ty}`] as a [`Class`](::thornback::Class), to set options on.");
    let debug_name = handle.to_string();
    quote! {
        impl #handle {
            #[doc = #create_doc]
            #[allow(dead_code, clippy::too_many_arguments)]
            #vis fn create(#client: &::thornback::Client, #params) -> Self {
                CLASS.create(#client, #(#names),*)
            }

            #[doc = #options_doc]
            #[allow(dead_code)]
            #[must_use]
            #vis fn options() -> ::thornback::Class<#tuple, #handle> {
                CLASS.options()
            }

            /// Finds the actor of this name in the client's namespace.
            ///
            /// # Errors
            /// If there is none.
            #[allow(dead_code)]
            #vis async fn find(client: &::thornback::Client, name: &str) -> ::thornback::Result<Self> {
                ::std::result::Result::Ok(Self(client.actor(name, ::std::option::Option::None).await?))
            }

            #(#callers)*
        }

        impl ::std::convert::From<::thornback::ActorHandle> for #handle {
            fn from(handle: ::thornback::ActorHandle) -> Self {
                Self(handle)
            }
        }

        impl ::std::ops::Deref for #handle {
            type Target = ::thornback::ActorHandle;

            fn deref(&self) -> &::thornback::ActorHandle {
                &self.0
            }
        }

        impl ::std::fmt::Debug for #handle {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::write!(f, "{}({})", #debug_name, self.0.id())
            }
        }

        impl ::thornback::__private::serde::Serialize for #handle {
            fn serialize<S: ::thornback::__private::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                ::thornback::__private::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        impl<'de> ::thornback::__private::serde::Deserialize<'de> for #handle {
            fn deserialize<D: ::thornback::__private::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                <::thornback::ActorHandle as ::thornback::__private::serde::Deserialize<'de>>::deserialize(deserializer).map(Self)
            }
        }
    }
}

struct Constructor<'a> {
    callable: Callable<'a>,
}

impl<'a> Constructor<'a> {
    fn read(function: &'a ImplItemFn) -> syn::Result<Constructor<'a>> {
        let callable = Callable::read(&function.sig, None)?;
        match callable.gives {
            Gives::Value { .. } => Ok(Constructor { callable }),
            _ => Err(Error::new_spanned(
                &function.sig.output,
                "a constructor returns `Self`, or a `Result` of it",
            )),
        }
    }

    fn definition(&self, ty: &Ident) -> TokenStream {
        let decode = self.callable.decode();
        let make = self.callable.make(&quote! { <#ty>::new });
        quote! {
            |mut call| ::std::boxed::Box::pin(async move {
                #decode
                let _ = &context;
                let value: #ty = #make;
                ::std::result::Result::Ok(::thornback::__private::build(value))
            })
        }
    }
}

struct Method<'a> {
    function: &'a ImplItemFn,
    callable: Callable<'a>,
    exclusive: bool,
}

impl<'a> Method<'a> {
    fn read(function: &'a ImplItemFn) -> syn::Result<Method<'a>> {
        let callable = Callable::read(&function.sig, None)?;
        let exclusive = match callable.receiver {
            Some(receiver) if receiver.reference.is_some() && receiver.colon_token.is_none() => {
                receiver.mutability.is_some()
            }
            other => {
                return Err(Error::new_spanned(
                    other,
                    "a method of an actor takes `&self` or `&mut self`; put others into another `impl` block",
                ));
            }
        };
        Ok(Method { function, callable, exclusive })
    }

    /// The method of the handle.
    fn caller(&self) -> TokenStream {
        let callable = &self.callable;
        let ImplItemFn { vis, attrs, .. } = self.function;
        let docs = attrs.iter().filter(|attr| {
            attr.path().is_ident("doc") || attr.path().is_ident("cfg") || attr.path().is_ident("deprecated")
        });
        let (name, params, names) = (callable.name, callable.remote_params(), callable.names());
        let (tuple, gives) = (callable.tuple(), callable.gives.remote());
        let text = name.to_string();
        let text = text.trim_start_matches("r#");
        quote! {
            #(#docs)*
            #[allow(dead_code, clippy::too_many_arguments)]
            #vis fn #name(&self, #params) -> #gives {
                static METHOD: ::thornback::Method<#tuple, #gives> = ::thornback::Method::named(#text);
                METHOD.call(&self.0, #(#names),*)
            }
        }
    }

    fn definition(&self, ty: &Ident) -> TokenStream {
        let callable = &self.callable;
        let name = callable.name;
        let text = name.to_string();
        let text = text.trim_start_matches("r#");
        let (count, decode) = (callable.count(), callable.decode());
        let run = callable.run(&quote! { actor.#name });
        let lock = if self.exclusive {
            quote! { let mut actor = ::thornback::__private::call_mut::<#ty>(cell).await?; }
        } else {
            quote! { let actor = ::thornback::__private::call_shared::<#ty>(cell).await?; }
        };
        let cfgs = self.function.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
        quote! {
            #(#cfgs)*
            ::thornback::__private::MethodDefinition {
                name: #text,
                args: #count,
                run: |cell, mut call| ::std::boxed::Box::pin(async move {
                    #decode
                    let _ = &context;
                    #lock
                    #run
                }),
            }
        }
    }
}

/// The type's own name, without which the handle could not be named.
fn type_name(ty: &Type) -> syn::Result<Ident> {
    match ty {
        Type::Path(path) if path.qself.is_none() => match path.path.segments.last() {
            Some(last) if path.path.segments.len() == 1 && last.arguments.is_none() => Ok(last.ident.clone()),
            _ => Err(Error::new_spanned(
                ty,
                "write #[thornback::actor] in the module of the type, and on a type without parameters",
            )),
        },
        _ => Err(Error::new_spanned(ty, "an actor is a struct or an enum")),
    }
}
