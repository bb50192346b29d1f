//! What a cached function becomes: its cache, its body as a function inside, and around both the
//! function that callers see.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Expr, FnArg, Ident, ItemFn, Result};

use crate::nearest::nearest;
use crate::options::Options;
use crate::outcome::{Outcome, Shape};
use crate::parameters::{Argument, Function};
use crate::window::{Given, Windows};

/// A tuple of so many parts is a key.
const PARTS_MAX: usize = 4;

/// How long a function that can't fail waits for its cache before it runs its body again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The function's name with this after it gives its cache.
const CACHE_SUFFIX: &str = "_cache";

/// The key: its type, how it is made, and the arguments that it is made of.
struct Key<'a> {
    ty: TokenStream,
    make: TokenStream,
    parts: Vec<&'a Argument>,
    /// Whether the attribute says how it is made.
    is_given: bool,
}

/// The function with its cache.
pub(crate) fn expand(options: &Options, function: &Function) -> Result<TokenStream> {
    let signature = &function.item.sig;
    let outcome = Outcome::of(&signature.output, &signature.ident)?;
    let key = key(options, function)?;
    let cache = cache(options, function, &outcome, &key);
    let wrapper = wrapper(function, &outcome, &key);
    Ok(quote!(#wrapper #cache))
}

fn key<'a>(options: &Options, function: &'a Function) -> Result<Key<'a>> {
    if let Some(Given { value: make, .. }) = &options.key {
        let ty = match &options.key_type {
            Some(given) => given.value.to_token_stream(),
            None => quote!(::std::string::String),
        };
        return Ok(Key { ty, make: make.to_token_stream(), parts: Vec::new(), is_given: true });
    }
    let skipped = options.skip.as_ref().map_or(&[][..], |given| &given.value);
    refuse_strangers(skipped, &function.arguments)?;
    let parts = function.arguments.iter().filter(|argument| !skipped.contains(&argument.name));
    let parts: Vec<_> = parts.collect();
    if let Some(argument) = parts.get(PARTS_MAX) {
        return Err(Error::new(
            argument.name.span(),
            "a key has at most four parts: skip arguments that the value doesn't depend on, or \
             give key = \"…\", or take a struct with #[derive(CacheKey)]",
        ));
    }
    let types = parts.iter().map(|part| part.owned_type());
    let values = parts.iter().map(|part| part.owned());
    let (ty, make) = match parts.len() {
        1 => (quote!(#(#types)*), quote!(#(#values)*)),
        _ => (quote!((#(#types),*)), quote!((#(#values),*))),
    };
    Ok(Key { ty, make, parts, is_given: false })
}

fn refuse_strangers(skipped: &[Ident], arguments: &[Argument]) -> Result<()> {
    let is_stranger = |name: &&Ident| arguments.iter().all(|argument| argument.name != **name);
    let Some(name) = skipped.iter().find(is_stranger) else { return Ok(()) };
    let known: Vec<_> = arguments.iter().map(|argument| argument.name.to_string()).collect();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let message = match nearest(&name.to_string(), &known) {
        Some(known) => format!("there is no argument {name}; did you mean {known}?"),
        None => format!("there is no argument {name}"),
    };
    Err(Error::new(name.span(), message))
}

/// The function that gives the cache, and owns it.
fn cache(options: &Options, function: &Function, outcome: &Outcome, key: &Key<'_>) -> TokenStream {
    let ItemFn { attrs, vis, sig, .. } = &function.item;
    let name = sig.ident.unraw();
    let cache = cache_name(&sig.ident);
    let kept = attrs
        .iter()
        .filter(|attribute| ["cfg", "allow"].iter().any(|kept| attribute.path().is_ident(kept)));
    let doc = format!(
        "The cache of [`{name}`]: the same on every call, and as long as the program. Its \
         statistics, and the way to say that the data changed."
    );
    let (ty, value) = (&key.ty, &outcome.value);
    let settings = settings(options, outcome.shape, &name);
    quote! {
        #(#kept)*
        #[doc = #doc]
        #[must_use]
        #vis fn #cache() -> &'static ::larder::Cache<#ty, #value> {
            static CACHE: ::larder::__private::CacheCell<#ty, #value> =
                ::larder::__private::CacheCell::new(#settings);
            CACHE.get()
        }
    }
}

fn cache_name(function: &Ident) -> Ident {
    format_ident!("{}{}", function, CACHE_SUFFIX)
}

fn settings(options: &Options, shape: Shape, function: &Ident) -> TokenStream {
    let name = match &options.name {
        Some(given) => given.value.clone(),
        None => function.to_string(),
    };
    let value = |given: &Option<Given<Duration>>| given.as_ref().map(|given| given.value);
    let Windows { max_staleness, fresh_for, stale_for, missing_for, jitter } = &options.windows;
    let mut load_timeout = value(&options.load_timeout);
    let mut deadline = value(&options.deadline);
    if shape.cannot_fail() {
        load_timeout = load_timeout.or(Some(PATIENCE));
        deadline = deadline.or(load_timeout);
    }
    let durations = [
        ("max_staleness", value(max_staleness)),
        ("fresh_for", value(fresh_for)),
        ("stale_for", value(stale_for)),
        ("missing_for", value(missing_for)),
        ("jitter", value(jitter)),
        ("deadline", deadline),
        ("load_timeout", load_timeout),
    ];
    let durations = durations.into_iter().filter_map(|(field, value)| {
        let (field, value) = (format_ident!("{field}"), value?);
        let (seconds, nanos) = (value.as_secs(), value.subsec_nanos());
        let value = quote!(::core::time::Duration::new(#seconds, #nanos));
        Some(quote!(#field: ::core::option::Option::Some(#value),))
    });
    let numbers = [
        ("entries_max", &options.entries_max),
        ("bytes_max", &options.bytes_max),
        ("loads_max", &options.loads_max),
    ];
    let numbers = numbers.into_iter().filter_map(|(field, given)| {
        let (field, value) = (format_ident!("{field}"), given.as_ref()?.value);
        Some(quote!(#field: ::core::option::Option::Some(#value),))
    });
    let weigher = options.weigher.as_ref().map(
        |Given { value, .. }: &Given<Expr>| quote!(weigher: ::core::option::Option::Some(#value),),
    );
    quote! {
        ::larder::__private::Settings {
            name: #name,
            #(#durations)*
            #(#numbers)*
            #weigher
            ..::larder::__private::Settings::NONE
        }
    }
}

/// The function that callers see, with the body inside.
fn wrapper(function: &Function, outcome: &Outcome, key: &Key<'_>) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = &function.item;
    let mut seen = sig.clone();
    for (input, argument) in seen.inputs.iter_mut().zip(&function.arguments) {
        let (name, ty) = (&argument.name, &argument.ty);
        *input = syn::parse_quote!(#name: #ty);
    }
    let mut body = sig.clone();
    body.ident = body_name();
    if key.is_given {
        // An argument that only the key is made of is of use.
        for input in &mut body.inputs {
            if let FnArg::Typed(input) = input {
                input.attrs.push(syn::parse_quote!(#[allow(unused_variables)]));
            }
        }
    }
    let demands = demands(function, outcome, key);
    let call = call(function, outcome, key);
    quote! {
        #(#attrs)*
        #vis #seen {
            #body #block
            #demands
            #call
        }
    }
}

fn body_name() -> Ident {
    Ident::new("__larder_body", Span::call_site())
}

/// What the types must be, demanded where they are written.
fn demands(function: &Function, outcome: &Outcome, key: &Key<'_>) -> TokenStream {
    let Outcome { shape, all, value, error } = outcome;
    let is_part = |argument: &&Argument| key.parts.iter().any(|part| part.name == argument.name);
    let parts = key.parts.iter().map(|part| {
        let ty = part.owned_type();
        quote_spanned!(at(part.ty.span())=> const _: () = ::larder::__private::key::<#ty>();)
    });
    let others = function.arguments.iter().filter(|argument| !is_part(argument)).map(|argument| {
        let ty = argument.type_taken_along();
        let span = at(argument.ty.span());
        quote_spanned!(span=> const _: () = ::larder::__private::argument::<#ty>();)
    });
    let span = at(all.span());
    let remembered = quote_spanned!(span=> const _: () = ::larder::__private::value::<#value>(););
    let reported = error
        .as_ref()
        .filter(|error| !is_string(error))
        .map(|error| quote_spanned!(span=> const _: () = ::larder::__private::error::<#error>();));
    let message = "spell this type as Result<V, E> or Option<V>: behind another name, a failure or \
                   an absence would be remembered as a value";
    let spelled = (*shape == Shape::Plain).then(|| {
        quote_spanned! {span=>
            const _: () = {
                #[allow(unused_imports)]
                use ::larder::__private::NotOther as _;
                ::core::assert!(!<::larder::__private::Is<#value>>::OTHER, #message)
            };
        }
    });
    quote!(#(#parts)* #(#others)* #remembered #reported #spelled)
}

/// The way through the cache.
fn call(function: &Function, outcome: &Outcome, key: &Key<'_>) -> TokenStream {
    let signature = &function.item.sig;
    let is_async = signature.asyncness.is_some();
    let get_cache = cache_name(&signature.ident);
    let (body, make, ty) = (body_name(), &key.make, &key.ty);
    // Names that no argument can have.
    let cache = Ident::new("cache", Span::mixed_site());
    let wanted = Ident::new("key", Span::mixed_site());
    let loaded = Ident::new("loaded", Span::mixed_site());
    let held = Ident::new("held", Span::mixed_site());

    let names = function.arguments.iter().map(|argument| &argument.name);
    let taken = function.arguments.iter().map(Argument::taken_along);
    let given = function.arguments.iter().map(Argument::given_to_body);
    // Where the body can't do what a task must, the compiler points at the function's name.
    let span = at(signature.ident.span());
    let load = if is_async {
        let run = remembered(outcome, &quote!(#body(#(#given),*).await));
        quote_spanned! {span=>
            ::larder::__private::load(#cache, &#wanted, move || async move { #run }).await
        }
    } else {
        let run = remembered(outcome, &quote!(#body(#(#given),*)));
        quote_spanned! {span=>
            ::larder::__private::load_blocking(#cache, &#wanted, move || { #run })
        }
    };
    let arguments = function.arguments.iter().map(|argument| &argument.name);
    let direct = if is_async {
        quote_spanned!(span=> ::larder::__private::boxed(#body(#(#arguments),*)).await)
    } else {
        quote!(#body(#(#arguments),*))
    };
    let answer = answer(outcome, &loaded, &wanted, &direct);
    quote! {
        let #cache = #get_cache();
        let #wanted: #ty = #make;
        let #loaded = match ::larder::__private::fresh(#cache, &#wanted) {
            ::core::option::Option::Some(#held) => ::core::result::Result::Ok(#held),
            ::core::option::Option::None => {
                #(let #names = #taken;)*
                #load
            }
        };
        #answer
    }
}

/// What the body returned, as a load returns it.
fn remembered(outcome: &Outcome, returned: &TokenStream) -> TokenStream {
    let carried = outcome.error.as_ref().map(|error| {
        quote! {
            .map_err(|error| {
                #[allow(unused_imports)]
                use ::larder::__private::{
                    ShowAsDebug as _, ShowAsDisplay as _, ShowAsError as _, ShowAsType as _,
                };
                let show = (&&&&::larder::__private::Asked::<#error>::new()).show();
                ::larder::__private::carried(error, show)
            })
        }
    });
    match outcome.shape {
        Shape::Plain => {
            quote!(::core::result::Result::Ok(::core::option::Option::Some(#returned)))
        }
        Shape::Maybe => quote!(::core::result::Result::Ok(#returned)),
        Shape::Fallible => quote!(#returned.map(::core::option::Option::Some)#carried),
        Shape::FallibleMaybe => quote!(#returned #carried),
    }
}

/// What the caller gets.
fn answer(outcome: &Outcome, loaded: &Ident, key: &Ident, direct: &TokenStream) -> TokenStream {
    let value = Ident::new("value", Span::mixed_site());
    let failure = Ident::new("failure", Span::mixed_site());
    let found = if outcome.shape.knows_absence() {
        quote!(::core::result::Result::Ok(#value))
    } else {
        quote!(::core::result::Result::Ok(::core::option::Option::Some(#value)))
    };
    let Some(error) = &outcome.error else {
        return quote! {
            match #loaded {
                #found => #value,
                _ => #direct,
            }
        };
    };
    let converted = if is_string(error) {
        quote!(::larder::__private::text(&#failure))
    } else {
        quote!(::larder::__private::converted::<#error>(#failure))
    };
    let returned = quote! {{
        #[allow(unused_imports)]
        use ::larder::__private::{GiveBack as _, GiveNothing as _};
        match (&&::larder::__private::Asked::<#error>::new()).give_back(&#failure) {
            ::core::option::Option::Some(own) => own,
            ::core::option::Option::None => #converted,
        }
    }};
    quote! {
        match #loaded {
            #found => ::core::result::Result::Ok(#value),
            ::core::result::Result::Err(#failure) if !::larder::__private::has_no_text(&#key) => {
                ::core::result::Result::Err(#returned)
            }
            _ => #direct,
        }
    }
}

/// Whether an error is spelled `String`, which can't be told how to become one.
fn is_string(error: &TokenStream) -> bool {
    matches!(error.to_string().as_str(), "String" | "std :: string :: String")
}

/// The place `span`, as code of the macro: lints for people's code pass over it.
fn at(span: Span) -> Span {
    Span::call_site().located_at(span)
}
