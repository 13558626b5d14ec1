//! `#[task]`: remote callers beside a function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn};

use crate::options::Options;
use crate::signature::Callable;

pub(crate) fn expand(options: &Options, function: &ItemFn) -> syn::Result<TokenStream> {
    options.check_for_task()?;
    let callable = Callable::read(&function.sig, options.num_returns)?;
    if let Some(receiver) = callable.receiver {
        return Err(Error::new_spanned(
            receiver,
            "a method belongs to an actor; write #[thornback::actor] on its `impl` block",
        ));
    }

    let ItemFn { vis, .. } = function;
    let name = callable.name;
    let cfgs: Vec<_> = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let remote_name = match &options.name {
        Some(name) => quote! { #name },
        None => {
            let text = name.to_string();
            let text = text.trim_start_matches("r#");
            quote! { ::std::concat!(::std::module_path!(), "::", #text) }
        }
    };
    let (tuple, gives) = (callable.tuple(), callable.gives.remote());
    let (client, params, names, count) =
        (callable.client_name(), callable.remote_params(), callable.names(), callable.count());
    let calls = options.calls();
    let decode = callable.decode();
    let run = callable.run(&quote! { #name });
    let doc = format!("Remote calls of [`{name}()`](fn@{name}).");
    let submit_doc =
        format!("Submits a call of [`{name}()`](fn@{name}); see [`Task::submit`](::thornback::Task).");
    let options_doc = format!("[`{name}()`](fn@{name}) as a [`Task`](::thornback::Task), to set options on.");

    Ok(quote! {
        #function

        #(#cfgs)*
        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #vis enum #name {}

        #(#cfgs)*
        const _: () = {
            static TASK: ::std::sync::LazyLock<::thornback::Task<#tuple, #gives>> =
                ::std::sync::LazyLock::new(|| ::thornback::Task::named(<#name as ::thornback::Serve>::NAME) #calls);

            impl #name {
                #[doc = #submit_doc]
                #[allow(dead_code, clippy::too_many_arguments)]
                #vis fn submit(#client: &::thornback::Client, #params) -> #gives {
                    TASK.submit(#client, #(#names),*)
                }

                #[doc = #options_doc]
                #[allow(dead_code)]
                #[must_use]
                #vis fn options() -> ::thornback::Task<#tuple, #gives> {
                    TASK.options()
                }
            }

            impl ::thornback::Serve for #name {
                const NAME: &'static str = #remote_name;

                fn definition() -> ::thornback::__private::Definition {
                    ::thornback::__private::Definition {
                        name: Self::NAME,
                        args: #count,
                        signature: "",
                        run: |mut call| ::std::boxed::Box::pin(async move {
                            #decode
                            let _ = &context;
                            #run
                        }),
                    }
                }
            }
        };
    })
}
