//! The function under the attribute: what its signature must not have, and its arguments.
//!
//! The body runs in a task that outlives the call, and the result is kept: neither may borrow.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Error, FnArg, GenericParam, Ident, ItemFn, Lifetime, Pat, PatIdent, PatType, Result, Safety,
    Signature, Type,
};

/// A function that can be cached, as far as its signature tells.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) arguments: Vec<Argument>,
}

/// One argument.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// As written.
    pub(crate) ty: Type,
    kind: Kind,
}

enum Kind {
    /// `T`
    Value,
    /// `&T`, with the `T`
    Borrowed(Type),
    /// `&'static T`, with the `T`
    Static(Type),
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let item: ItemFn = input.parse().map_err(|error| {
            Error::new(error.span(), format!("#[cached] stands on a function: {error}"))
        })?;
        refuse_what_cannot_be_cached(&item.sig)?;
        let arguments = item.sig.inputs.iter().map(Argument::of).collect::<Result<_>>()?;
        Ok(Self { item, arguments })
    }
}

fn refuse_what_cannot_be_cached(signature: &Signature) -> Result<()> {
    if let Some(receiver) = signature.receiver() {
        return Err(Error::new(
            receiver.span(),
            "a method can't be cached: the cache would mix the values of all its objects. Write a \
             function of what the value depends on, and call it from the method",
        ));
    }
    let is_generic = |parameter: &&GenericParam| !matches!(parameter, GenericParam::Lifetime(_));
    if let Some(parameter) = signature.generics.params.iter().find(is_generic) {
        return Err(Error::new(
            parameter.span(),
            "a generic function can't be cached: it would need a cache for each type. Cache a \
             function of one type, and call it from this one",
        ));
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        let message = "an unsafe function can't be cached: its body runs when no caller vouches";
        return Err(Error::new(keyword.span(), message));
    }
    if let Some(keyword) = &signature.constness {
        let message = "a const function can't be cached: there is no cache at compile time";
        return Err(Error::new(keyword.span(), message));
    }
    if let Some(abi) = &signature.abi {
        let message = "a function for other languages can't be cached: call a cached one from it";
        return Err(Error::new(abi.span(), message));
    }
    Ok(())
}

impl Argument {
    fn of(input: &FnArg) -> Result<Self> {
        let FnArg::Typed(PatType { pat, ty, .. }) = input else {
            return Err(Error::new(input.span(), "a method can't be cached"));
        };
        let Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) = &**pat else {
            let message = "give the argument a name, and take it apart in the body";
            return Err(Error::new(pat.span(), message));
        };
        let kind = match &**ty {
            Type::Reference(reference) => {
                if reference.mutability.is_some() {
                    return Err(Error::new(
                        reference.span(),
                        "a cached function can't change its argument: a hit doesn't run the body. \
                         Return the new value",
                    ));
                }
                let inner = Type::clone(&reference.elem);
                match &reference.lifetime {
                    Some(lifetime) if lifetime.ident == "static" => Kind::Static(inner),
                    _ => Kind::Borrowed(inner),
                }
            }
            _ => Kind::Value,
        };
        if let Kind::Borrowed(Type::TraitObject(object)) = &kind {
            return Err(Error::new(
                object.span(),
                "what can't be cloned can't be given to a body that outlives the call: take an \
                 Arc<dyn …> instead, and skip it",
            ));
        }
        let argument = Self { name: ident.clone(), ty: Type::clone(ty), kind };
        refuse_borrowed(
            argument.inner(),
            "the body outlives the call, so it can't borrow this: take an owned value (a String \
             for a &str inside), or a plain reference, which is cloned",
        )?;
        Ok(argument)
    }

    fn inner(&self) -> &Type {
        match &self.kind {
            Kind::Value => &self.ty,
            Kind::Borrowed(inner) | Kind::Static(inner) => inner,
        }
    }

    /// The type of this argument once it is owned, as a part of the key is.
    pub(crate) fn owned_type(&self) -> TokenStream {
        match &self.kind {
            Kind::Value => self.ty.to_token_stream(),
            Kind::Borrowed(inner) | Kind::Static(inner) if is_str(inner) => {
                quote_spanned!(inner.span()=> ::std::string::String)
            }
            Kind::Borrowed(inner) | Kind::Static(inner) => {
                quote_spanned!(inner.span()=> <#inner as ::std::borrow::ToOwned>::Owned)
            }
        }
    }

    /// The owned copy.
    pub(crate) fn owned(&self) -> TokenStream {
        let name = &self.name;
        match &self.kind {
            Kind::Value => quote!(::std::clone::Clone::clone(&#name)),
            Kind::Borrowed(_) | Kind::Static(_) => quote!(::std::borrow::ToOwned::to_owned(#name)),
        }
    }

    /// What the body takes along.
    pub(crate) fn taken_along(&self) -> TokenStream {
        match &self.kind {
            Kind::Static(_) => self.name.to_token_stream(),
            Kind::Value | Kind::Borrowed(_) => self.owned(),
        }
    }

    /// The type of what the body takes along.
    pub(crate) fn type_taken_along(&self) -> TokenStream {
        match &self.kind {
            Kind::Static(_) => self.ty.to_token_stream(),
            Kind::Value | Kind::Borrowed(_) => self.owned_type(),
        }
    }

    /// What was taken along, as the body wants it.
    pub(crate) fn given_to_body(&self) -> TokenStream {
        let name = &self.name;
        match &self.kind {
            Kind::Borrowed(inner) => quote!(::std::borrow::Borrow::<#inner>::borrow(&#name)),
            Kind::Value | Kind::Static(_) => name.to_token_stream(),
        }
    }
}

fn is_str(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("str"))
}

/// Refuses a type that borrows, or whose name isn't known.
pub(crate) fn refuse_borrowed(ty: &Type, why: &str) -> Result<()> {
    let mut finder = Finder { found: None };
    finder.visit_type(ty);
    match finder.found {
        None => Ok(()),
        Some((span, Found::Borrowed)) => Err(Error::new(span, why)),
        Some((span, Found::Impl)) => Err(Error::new(
            span,
            "a cached function has one cache of one type: name the type instead of `impl`",
        )),
    }
}

enum Found {
    Borrowed,
    Impl,
}

/// Finds the first place that borrows; `'static` doesn't.
struct Finder {
    found: Option<(Span, Found)>,
}

impl Finder {
    fn find(&mut self, span: Span, what: Found) {
        self.found.get_or_insert((span, what));
    }
}

impl<'a> Visit<'a> for Finder {
    fn visit_type(&mut self, ty: &'a Type) {
        match ty {
            Type::Reference(reference) if reference.lifetime.is_none() => {
                self.find(reference.span(), Found::Borrowed);
            }
            Type::ImplTrait(implementation) => self.find(implementation.span(), Found::Impl),
            // A function pointer's own arguments may borrow.
            Type::FnPtr(_) => {}
            _ => visit::visit_type(self, ty),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
        if lifetime.ident != "static" {
            self.find(lifetime.span(), Found::Borrowed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_with_qualifiers_are_refused_with_the_reason() {
        for (function, reason) in [
            ("unsafe fn f() -> u8 { 1 }", "no caller vouches"),
            ("const fn f() -> u8 { 1 }", "at compile time"),
            ("extern \"C\" fn f() -> u8 { 1 }", "other languages"),
        ] {
            let error = syn::parse_str::<Function>(function).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn only_what_borrows_is_refused() {
        for (ty, borrows) in [
            ("Vec<&'static str>", false),
            ("fn(&str) -> &str", false),
            ("Cow<'static, str>", false),
            ("Cow<'_, str>", true),
            ("(u8, [&u8; 2])", true),
            ("Box<dyn Fn() + 'a>", true),
        ] {
            let parsed = syn::parse_str(ty).unwrap();
            assert_eq!(refuse_borrowed(&parsed, "").is_err(), borrows, "{ty}");
        }
    }
}
