//! The types of functions as text, to compare a guest's with the contract's and to show where they differ. It knows WIT only.

use std::collections::BTreeMap;
use std::fmt;

use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

/// A function's type: as written, and every named type that it mentions, at any depth.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Such as `func(input: borrow<input>, options: string) -> result<outcome, conversion-error>`.
    text: String,
    /// Definitions by name, each with the names of the types inside it.
    types: BTreeMap<String, String>,
}

impl Signature {
    /// The type of `function`.
    pub fn of(resolve: &Resolve, function: &Function) -> Signature {
        let mut printer = Printer { resolve, types: BTreeMap::new() };
        // The first parameter of a method is its resource, which the name says already.
        let skip = usize::from(function.name.starts_with("[method]"));
        let parameters: Vec<String> =
            function.params.iter().skip(skip).map(|param| format!("{}: {}", param.name, printer.name(&param.ty))).collect();
        let mut text = if function.kind.is_async() { "async func(".to_owned() } else { "func(".to_owned() };
        text.push_str(&parameters.join(", "));
        text.push(')');
        if let Some(result) = &function.result {
            text.push_str(" -> ");
            text.push_str(&printer.name(result));
        }
        Signature { text, types: printer.types }
    }

    /// In words, how `found` differs from `self`, the expected one, type by type; empty where they are equal.
    pub fn differences(&self, found: &Signature) -> Vec<String> {
        let mut differences = Vec::new();
        if self.text != found.text {
            differences.push(format!("it is `{}`, the contract says `{}`", found.text, self.text));
        }
        // What only one of two different functions mentions says nothing more.
        differences.extend(self.types.iter().filter_map(|(name, expected)| match found.types.get(name) {
            Some(other) if other != expected => Some(format!("its type `{name}` is `{other}`, the contract says `{expected}`")),
            _ => None,
        }));
        differences
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `[method]input.read` as `input.read`, `[constructor]x` as `x`.
pub fn readable_name(function: &str) -> &str {
    function.rsplit_once(']').map_or(function, |(_, name)| name)
}

struct Printer<'a> {
    resolve: &'a Resolve,
    types: BTreeMap<String, String>,
}

impl Printer<'_> {
    /// A type as WIT writes it where it is used; definitions of named ones go to `types`.
    fn name(&mut self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::S8 => "s8".to_owned(),
            Type::S16 => "s16".to_owned(),
            Type::S32 => "s32".to_owned(),
            Type::S64 => "s64".to_owned(),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::ErrorContext => "error-context".to_owned(),
            Type::Id(id) => self.defined(*id),
        }
    }

    fn defined(&mut self, id: TypeId) -> String {
        let Some(definition) = self.resolve.types.get(id) else { return "?".to_owned() };
        // `use io.{input}` makes an alias; what counts is what it stands for.
        if let TypeDefKind::Type(target) = &definition.kind {
            return self.name(target);
        }
        let Some(name) = &definition.name else { return self.structure(&definition.kind) };
        if !self.types.contains_key(name) {
            // The entry goes in first: WIT has no recursive types, and a damaged file must not make one of this.
            self.types.insert(name.clone(), String::new());
            let structure = self.structure(&definition.kind);
            self.types.insert(name.clone(), structure);
        }
        name.clone()
    }

    fn structure(&mut self, kind: &TypeDefKind) -> String {
        let cases = |names: Vec<String>, what: &str| format!("{what} {{ {} }}", names.join(", "));
        match kind {
            TypeDefKind::Record(record) => {
                cases(record.fields.iter().map(|field| format!("{}: {}", field.name, self.name(&field.ty))).collect(), "record")
            }
            TypeDefKind::Variant(variant) => {
                let case = |case: &wit_parser::Case| match &case.ty {
                    Some(ty) => format!("{}({})", case.name, self.name(ty)),
                    None => case.name.clone(),
                };
                cases(variant.cases.iter().map(case).collect(), "variant")
            }
            TypeDefKind::Enum(list) => cases(list.cases.iter().map(|case| case.name.clone()).collect(), "enum"),
            TypeDefKind::Flags(list) => cases(list.flags.iter().map(|flag| flag.name.clone()).collect(), "flags"),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Option(ty) => format!("option<{}>", self.name(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.name(ty)),
            TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", self.name(ty)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", self.name(key), self.name(value)),
            TypeDefKind::Result(result) => {
                let ok = result.ok.map_or_else(|| "_".to_owned(), |ty| self.name(&ty));
                match &result.err {
                    Some(error) => format!("result<{ok}, {}>", self.name(error)),
                    None if result.ok.is_some() => format!("result<{ok}>"),
                    None => "result".to_owned(),
                }
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.defined(*id),
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.defined(*id)),
            TypeDefKind::Resource => "resource".to_owned(),
            TypeDefKind::Future(ty) => ty.map_or_else(|| "future".to_owned(), |ty| format!("future<{}>", self.name(&ty))),
            TypeDefKind::Stream(ty) => ty.map_or_else(|| "stream".to_owned(), |ty| format!("stream<{}>", self.name(&ty))),
            TypeDefKind::Type(ty) => self.name(ty),
            TypeDefKind::Unknown => "unknown".to_owned(),
        }
    }
}
