//! What a cached function returns, as far as its spelling tells: a value, an absence, a failure.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, PathArguments, Result, ReturnType, Type};

use crate::parameters::refuse_borrowed;

/// The shape of what is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `V`
    Plain,
    /// `Option<V>`
    Maybe,
    /// `Result<V, E>`
    Fallible,
    /// `Result<Option<V>, E>`
    FallibleMaybe,
}

/// What is returned, and the types inside.
pub(crate) struct Outcome {
    pub(crate) shape: Shape,
    /// All of it, as written.
    pub(crate) all: Type,
    /// The `V` that the cache holds.
    pub(crate) value: TokenStream,
    /// The `E`, if it can fail.
    pub(crate) error: Option<TokenStream>,
}

impl Shape {
    /// Whether the function has no way to report a failure of the cache.
    pub(crate) fn cannot_fail(self) -> bool {
        matches!(self, Self::Plain | Self::Maybe)
    }

    /// Whether an absence is an answer.
    pub(crate) fn knows_absence(self) -> bool {
        matches!(self, Self::Maybe | Self::FallibleMaybe)
    }
}

impl Outcome {
    pub(crate) fn of(output: &ReturnType, function: &syn::Ident) -> Result<Self> {
        let ReturnType::Type(_, all) = output else {
            let message = "this function returns nothing, so there is nothing to remember";
            return Err(Error::new(function.span(), message));
        };
        refuse_borrowed(
            all,
            "what is remembered outlives the call: return an owned value, such as a String for a \
             &str, or an Arc",
        )?;
        let all = Type::clone(all);
        let span = all.span();
        match last_segment(&all) {
            Some(("Option", inner)) => {
                let value = inner.first().map_or_else(
                    || quote_spanned!(span=> <#all as ::larder::__private::Maybe>::Value),
                    |value| quote!(#value),
                );
                Ok(Self { shape: Shape::Maybe, value, error: None, all })
            }
            Some(("Result", inner)) => Ok(Self::fallible(&all, &inner)),
            _ => Ok(Self { shape: Shape::Plain, value: quote!(#all), error: None, all }),
        }
    }

    /// A `Result`, or an alias of that name with fewer parameters.
    fn fallible(all: &Type, inner: &[Type]) -> Self {
        let span = all.span();
        let error = inner.get(1).map_or_else(
            || quote_spanned!(span=> <#all as ::larder::__private::Fallible>::Error),
            |error| quote!(#error),
        );
        let ok = inner.first().map_or_else(
            || quote_spanned!(span=> <#all as ::larder::__private::Fallible>::Value),
            |ok| quote!(#ok),
        );
        let (shape, value) = match inner.first().and_then(last_segment) {
            Some(("Option", inner)) => (
                Shape::FallibleMaybe,
                inner.first().map_or_else(
                    || quote_spanned!(span=> <#ok as ::larder::__private::Maybe>::Value),
                    |value| quote!(#value),
                ),
            ),
            _ => (Shape::Fallible, ok),
        };
        Self { shape, all: all.clone(), value, error: Some(error) }
    }
}

/// The word that a type's path ends with, if it is one that matters here, and its parameters.
fn last_segment(ty: &Type) -> Option<(&'static str, Vec<Type>)> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    let word = ["Option", "Result"].into_iter().find(|word| segment.ident == word)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Some((word, Vec::new()));
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    });
    Some((word, types.collect()))
}
