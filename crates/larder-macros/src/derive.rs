//! `#[derive(CacheKey)]`: the parts of a key are its fields in their order, and before those of
//! an enum the name of the variant.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Generics, Ident, Member, Result};

/// The implementation of `CacheKey` for `item`.
pub(crate) fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let name = &item.ident;
    let (write, parse) = match &item.data {
        Data::Struct(data) => {
            if data.fields.is_empty() {
                let message = "a key tells entries apart: give it a field";
                return Err(Error::new(name.span(), message));
            }
            let fields = Parts::of(&data.fields);
            let (pattern, writes, reads) = (&fields.pattern, &fields.writes(), &fields.reads);
            (quote!(let Self #pattern = self; #writes), quote!(let key = Self #reads;))
        }
        Data::Enum(data) => {
            if data.variants.is_empty() {
                let message = "a key tells entries apart: give it a variant";
                return Err(Error::new(name.span(), message));
            }
            let arms = data.variants.iter().map(|variant| Arm::of(&variant.ident, &variant.fields));
            let arms: Vec<_> = arms.collect();
            let (writes, reads) =
                (arms.iter().map(|arm| &arm.write), arms.iter().map(|arm| &arm.parse));
            (
                quote!(match self { #(#writes)* }),
                quote! {
                    let key = match parts.next()?.as_str() {
                        #(#reads)*
                        _ => return ::core::option::Option::None,
                    };
                },
            )
        }
        Data::Union(data) => {
            let message = "a union doesn't know what it holds: a key is a struct or an enum";
            return Err(Error::new(data.union_token.span, message));
        }
    };
    let generics = bounded(&item.generics)?;
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::larder::CacheKey for #name #type_generics #where_clause {
            fn write(&self, text: &mut ::larder::KeyText) {
                #write
            }

            fn parse(text: &str) -> ::core::option::Option<Self> {
                let mut parts = ::larder::core::key::parts(text)?.into_iter();
                #parse
                parts.next().is_none().then_some(key)
            }
        }
    })
}

/// Every type parameter is a key itself.
fn bounded(generics: &Generics) -> Result<Generics> {
    let mut generics = generics.clone();
    for parameter in &mut generics.params {
        match parameter {
            GenericParam::Type(parameter) => {
                parameter.bounds.push(syn::parse_quote!(::larder::CacheKey));
            }
            GenericParam::Lifetime(lifetime) => {
                let message = "a key is kept, so it can't borrow: hold a String instead of a &str";
                return Err(Error::new(lifetime.span(), message));
            }
            GenericParam::Const(_) => {}
        }
    }
    Ok(generics)
}

/// The fields of a struct or a variant.
struct Parts {
    /// Binds each field to a name of ours.
    pattern: TokenStream,
    /// Writes one field each.
    each: Vec<TokenStream>,
    /// Makes the fields from the parts that are left.
    reads: TokenStream,
}

impl Parts {
    fn of(fields: &Fields) -> Self {
        let members: Vec<Member> = fields.members().collect();
        let places: Vec<Ident> = (0..members.len())
            .map(|at| Ident::new(&format!("part{at}"), Span::mixed_site()))
            .collect();
        let each = fields
            .iter()
            .zip(&places)
            .map(|(field, place)| quote_spanned!(at(field.ty.span())=> text.push_part(#place);));
        let reads = fields.iter().zip(&members).map(|(field, member)| {
            let ty = field.ty.to_token_stream();
            quote_spanned!(at(field.ty.span())=>
                #member: <#ty as ::larder::CacheKey>::parse(&parts.next()?)?
            )
        });
        Self {
            pattern: quote!({ #(#members: #places),* }),
            each: each.collect(),
            reads: quote!({ #(#reads),* }),
        }
    }

    /// Writes all fields with `:` between them.
    fn writes(&self) -> TokenStream {
        let each = self.each.iter().enumerate().map(|(at, write)| {
            let colon = (at > 0).then(|| quote!(text.push_str(":");));
            quote!(#colon #write)
        });
        quote!(#(#each)*)
    }
}

/// One variant in both directions.
struct Arm {
    write: TokenStream,
    parse: TokenStream,
}

impl Arm {
    fn of(name: &Ident, fields: &Fields) -> Self {
        let word = name.unraw().to_string();
        let Parts { pattern, each, reads } = Parts::of(fields);
        Self {
            write: quote! {
                Self::#name #pattern => {
                    text.push_str(#word);
                    #(text.push_str(":"); #each)*
                }
            },
            parse: quote!(#word => Self::#name #reads,),
        }
    }
}

/// The place `span`, as code of the macro.
fn at(span: Span) -> Span {
    Span::call_site().located_at(span)
}
