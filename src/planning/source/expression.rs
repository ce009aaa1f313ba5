//! An expression of a source's mapping, over `payload`, `headers` and `item`, in minijinja's
//! language. What it reads and the payload does not have is a miss, with the place in the
//! expression and what the payload has instead; `|default(…)` and `is defined` allow for it.

use std::ops::Range;

use minijinja::machinery::{ast, parse_expr};
use minijinja::value::ValueKind;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde_json::Value as Json;

/// Steps one evaluation may take.
const FUEL: u64 = 2_000;

/// What an expression may read besides functions of the language.
const ROOTS: [&str; 3] = ["payload", "headers", "item"];

/// The most names told of what the payload has instead.
const MAX_NAMES: usize = 8;

/// An expression that compiles, and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub source: String,
    /// The bytes of the file that hold it.
    pub span: Range<usize>,
    /// The byte of the file its first letter stands at; `None` where the file writes it with
    /// escapes.
    start: Option<usize>,
}

/// What an expression read and did not find, or could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// Where in the payload.
    pub pointer: String,
    pub detail: String,
    /// What there is instead.
    pub help: Option<String>,
}

/// What expressions look at.
#[derive(Debug)]
pub struct Sight<'a> {
    pub payload: &'a Json,
    /// By lower-case name.
    pub headers: &'a Json,
    /// The part of the payload that `each` has come to, and its pointer.
    pub item: Option<(&'a Json, String)>,
    environment: Environment<'static>,
    context: Value,
}

impl<'a> Sight<'a> {
    #[must_use]
    pub fn new(payload: &'a Json, headers: &'a Json, item: Option<(&'a Json, String)>) -> Self {
        let context = minijinja::context! {
            payload => minijinja::value::Serde(payload),
            headers => minijinja::value::Serde(headers),
            item => item.as_ref().map(|(item, _)| minijinja::value::Serde(*item)),
        };
        Self { payload, headers, item, environment: environment(), context }
    }

    fn root(&self, name: &str) -> Option<(&'a Json, String)> {
        match name {
            "payload" => Some((self.payload, String::new())),
            "headers" => Some((self.headers, String::new())),
            "item" => self.item.clone(),
            _ => None,
        }
    }

    fn value(&self, source: &str) -> Option<Value> {
        let expression = self.environment.compile_expression_owned(source.to_owned()).ok()?;
        expression.eval(&self.context).ok()
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment
}

/// One step of a path.
enum Step {
    Key(String),
    Place(i64),
}

impl Expression {
    /// Compiles the text that stands at `span` of a file.
    ///
    /// # Errors
    /// What is wrong with it, and the bytes of the file that are to blame.
    pub fn compile(
        source: &str,
        span: Range<usize>,
        file: &str,
    ) -> Result<Self, (Range<usize>, String)> {
        let start = file.get(span.clone()).and_then(|written| {
            let at = written.find(source)?;
            Some(span.start + at)
        });
        let expression = Self { source: source.to_owned(), span, start };
        environment().compile_expression_owned(source.to_owned()).map(drop).map_err(|error| {
            let detail = error.detail().unwrap_or("is no expression").to_owned();
            (expression.place(error.range()), detail)
        })?;
        let mut unknown = None;
        if let Ok(tree) = parse_expr(source) {
            expression.find_unknown(&tree, &mut unknown);
        }
        unknown.map_or(Ok(expression), Err)
    }

    /// Its value.
    ///
    /// # Errors
    /// Everything it reads and the payload does not have.
    pub fn value(&self, sight: &Sight<'_>) -> Result<Json, Vec<Miss>> {
        let mut misses = Vec::new();
        if let Ok(tree) = parse_expr(&self.source) {
            self.walk(&tree, sight, false, &mut misses);
        }
        if !misses.is_empty() {
            return Err(misses);
        }
        let fault = |span, detail: &str| {
            vec![Miss {
                span: self.place(span),
                pointer: self.pointer(sight),
                detail: detail.to_owned(),
                help: None,
            }]
        };
        let compiled = sight.environment.compile_expression_owned(self.source.clone());
        let value = compiled.and_then(|compiled| compiled.eval(&sight.context));
        let value = value.map_err(|error| {
            fault(error.range(), error.detail().unwrap_or("cannot be evaluated"))
        })?;
        if value.is_undefined() {
            return Err(fault(None, "has no value here"));
        }
        serde_json::to_value(&value).map_err(|_| fault(None, "is no value of JSON"))
    }

    /// Does it hold? What reads something that is not there does not.
    #[must_use]
    pub fn holds(&self, sight: &Sight<'_>) -> bool {
        self.value(sight).is_ok_and(|_| sight.value(&self.source).is_some_and(|v| v.is_true()))
    }

    /// The first part of the payload that it reads, as a JSON pointer.
    #[must_use]
    pub fn pointer(&self, sight: &Sight<'_>) -> String {
        let Ok(tree) = parse_expr(&self.source) else { return String::new() };
        let mut first = None;
        each_path(&tree, &mut |root, steps| {
            if first.is_none()
                && root != "headers"
                && let Some((_, base)) = sight.root(root)
            {
                let below: String = steps.iter().map(Step::pointer).collect();
                first = Some(format!("{base}{below}"));
            }
        });
        first.unwrap_or_default()
    }

    /// Bytes of the file for bytes of the expression.
    fn place(&self, part: Option<Range<usize>>) -> Range<usize> {
        match (self.start, part) {
            (Some(start), Some(part)) if part.end <= self.source.len() => {
                start + part.start..start + part.end
            }
            _ => self.span.clone(),
        }
    }

    fn is_true(&self, expr: &ast::Expr<'_>, sight: &Sight<'_>) -> bool {
        use ast::{BinOpKind, Expr, UnaryOpKind};
        match expr {
            Expr::UnaryOp(not) if matches!(not.op, UnaryOpKind::Not) => {
                !self.is_true(&not.expr, sight)
            }
            Expr::BinOp(op) if matches!(op.op, BinOpKind::ScAnd) => {
                self.is_true(&op.left, sight) && self.is_true(&op.right, sight)
            }
            Expr::BinOp(op) if matches!(op.op, BinOpKind::ScOr) => {
                self.is_true(&op.left, sight) || self.is_true(&op.right, sight)
            }
            _ => {
                let value = self.part(expr).and_then(|part| sight.value(&self.source[part]));
                value.is_some_and(|value| value.is_true())
            }
        }
    }

    /// Where a part stands, with the parentheses that belong to it.
    fn part(&self, expr: &ast::Expr<'_>) -> Option<Range<usize>> {
        let (mut start, mut end) = (usize::MAX, 0);
        each_place(expr, &mut |place| {
            start = start.min(place.start);
            end = end.max(place.end);
        });
        while let Some(part) = self.source.get(start..end) {
            let (open, close) = (part.matches('(').count(), part.matches(')').count());
            if open < close
                && let Some(at) = self.source[..start].rfind('(')
            {
                start = at;
            } else if open > close
                && let Some(at) = self.source[end..].find(')')
            {
                end += at + 1;
            } else {
                return Some(start..end);
            }
        }
        None
    }

    fn find_unknown(&self, expr: &ast::Expr<'_>, unknown: &mut Option<(Range<usize>, String)>) {
        each_path(expr, &mut |root, _| {
            if unknown.is_none() && !ROOTS.contains(&root) {
                let at = self.source.find(root).map(|at| at..at + root.len());
                let detail = format!(
                    "{root:?} is nothing here; an expression reads {}, and a text stands in quotes: \"'{root}'\"",
                    ROOTS.join(", ")
                );
                *unknown = Some((self.place(at), detail));
            }
        });
    }

    fn walk(&self, expr: &ast::Expr<'_>, sight: &Sight<'_>, guarded: bool, misses: &mut Vec<Miss>) {
        use ast::Expr as E;
        let text = |expr| self.part(expr).map_or("none", |part| &self.source[part]);
        match expr {
            E::Var(_) | E::GetAttr(_) | E::GetItem(_) => {
                if let E::GetItem(item) = expr {
                    self.walk(&item.subscript_expr, sight, guarded, misses);
                }
                if guarded {
                    return;
                }
                let at = self.place(self.part(expr));
                match path(expr) {
                    Some((root, steps)) => misses.extend(missing(sight, root, &steps, at)),
                    // The key is computed: only the whole can be looked at.
                    None if sight.value(text(expr)).is_none_or(|value| value.is_undefined()) => {
                        let detail = format!("{} is not in the payload", text(expr));
                        misses.push(Miss { span: at, pointer: String::new(), detail, help: None });
                    }
                    None => {}
                }
            }
            E::Const(_) => {}
            E::Filter(filter) => {
                let allows = matches!(filter.name, "default" | "d");
                let Some(inner) = &filter.expr else { return };
                self.walk(inner, sight, guarded || allows, misses);
                let needed =
                    !allows || sight.value(text(inner)).is_none_or(|value| value.is_undefined());
                if needed {
                    self.walk_args(&filter.args, sight, guarded, misses);
                }
            }
            E::Test(test) => {
                let asks = matches!(test.name, "defined" | "undefined");
                self.walk(&test.expr, sight, guarded || asks, misses);
                self.walk_args(&test.args, sight, guarded, misses);
            }
            E::IfExpr(choice) => {
                self.walk(&choice.test_expr, sight, guarded, misses);
                let holds = self.is_true(&choice.test_expr, sight);
                if holds {
                    self.walk(&choice.true_expr, sight, guarded, misses);
                } else if let Some(otherwise) = &choice.false_expr {
                    self.walk(otherwise, sight, guarded, misses);
                }
            }
            E::BinOp(op) => {
                self.walk(&op.left, sight, guarded, misses);
                let left = || self.is_true(&op.left, sight);
                let right = match op.op {
                    ast::BinOpKind::ScAnd => left(),
                    ast::BinOpKind::ScOr => !left(),
                    _ => true,
                };
                if right {
                    self.walk(&op.right, sight, guarded, misses);
                }
            }
            E::Compare(compare) => {
                self.walk(&compare.expr, sight, guarded, misses);
                for op in &compare.ops {
                    self.walk(&op.expr, sight, guarded, misses);
                }
            }
            E::UnaryOp(op) => self.walk(&op.expr, sight, guarded, misses),
            E::Slice(slice) => self.walk(&slice.expr, sight, guarded, misses),
            E::Call(call) => {
                if let E::GetAttr(method) = &call.expr {
                    self.walk(&method.expr, sight, guarded, misses);
                }
                self.walk_args(&call.args, sight, guarded, misses);
            }
            E::List(list) => list.items.iter().for_each(|e| self.walk(e, sight, guarded, misses)),
            E::Tuple(list) => list.items.iter().for_each(|e| self.walk(e, sight, guarded, misses)),
            E::Map(map) => map.values.iter().for_each(|e| self.walk(e, sight, guarded, misses)),
        }
    }

    fn walk_args(
        &self,
        args: &[ast::CallArg<'_>],
        sight: &Sight<'_>,
        guarded: bool,
        misses: &mut Vec<Miss>,
    ) {
        for arg in args {
            self.walk(arg_expr(arg), sight, guarded, misses);
        }
    }
}

const fn arg_expr<'e, 'a>(arg: &'e ast::CallArg<'a>) -> &'e ast::Expr<'a> {
    match arg {
        ast::CallArg::Pos(expr)
        | ast::CallArg::Kwarg(_, expr)
        | ast::CallArg::PosSplat(expr)
        | ast::CallArg::KwargSplat(expr) => expr,
    }
}

/// `payload.detail['id']` as its root and steps; `None` where a key is computed.
fn path<'e>(expr: &'e ast::Expr<'_>) -> Option<(&'e str, Vec<Step>)> {
    match expr {
        ast::Expr::Var(var) => Some((var.id, Vec::new())),
        ast::Expr::GetAttr(attr) => {
            let (root, mut steps) = path(&attr.expr)?;
            steps.push(Step::Key(attr.name.to_owned()));
            Some((root, steps))
        }
        ast::Expr::GetItem(item) => {
            let (root, mut steps) = path(&item.expr)?;
            let ast::Expr::Const(key) = &item.subscript_expr else { return None };
            steps.push(match key.value.kind() {
                ValueKind::String => Step::Key(key.value.as_str()?.to_owned()),
                _ => Step::Place(key.value.as_i64()?),
            });
            Some((root, steps))
        }
        _ => None,
    }
}

/// Visits the place of an expression and of every part of it.
fn each_place(expr: &ast::Expr<'_>, visit: &mut impl FnMut(Range<usize>)) {
    use ast::Expr as E;
    let span = expr.span();
    let end = span.end_offset as usize;
    // The parser lets an operator begin at the token before it: only its end is meant.
    let leaf = matches!(expr, E::Var(_) | E::Const(_) | E::List(_) | E::Tuple(_) | E::Map(_));
    visit(if leaf { span.start_offset as usize..end } else { end..end });
    match expr {
        E::GetAttr(attr) => each_place(&attr.expr, visit),
        E::GetItem(item) => each_place(&item.expr, visit),
        E::Slice(slice) => each_place(&slice.expr, visit),
        E::BinOp(op) => {
            each_place(&op.left, visit);
            each_place(&op.right, visit);
        }
        E::Compare(compare) => {
            each_place(&compare.expr, visit);
            compare.ops.iter().for_each(|op| each_place(&op.expr, visit));
        }
        E::IfExpr(choice) => {
            each_place(&choice.true_expr, visit);
            choice.false_expr.iter().for_each(|expr| each_place(expr, visit));
        }
        E::UnaryOp(op) => each_place(&op.expr, visit),
        E::Filter(filter) => filter.expr.iter().for_each(|expr| each_place(expr, visit)),
        E::Test(test) => {
            each_place(&test.expr, visit);
            test.args.iter().for_each(|arg| each_place(arg_expr(arg), visit));
        }
        E::Call(call) => each_place(&call.expr, visit),
        E::Var(_) | E::Const(_) | E::List(_) | E::Tuple(_) | E::Map(_) => {}
    }
}

/// Visits every path of an expression, longest first.
fn each_path(expr: &ast::Expr<'_>, visit: &mut impl FnMut(&str, &[Step])) {
    use ast::Expr as E;
    if let Some((root, steps)) = path(expr) {
        visit(root, &steps);
        return;
    }
    match expr {
        E::Var(_) | E::Const(_) => {}
        E::GetAttr(attr) => each_path(&attr.expr, visit),
        E::GetItem(item) => {
            each_path(&item.expr, visit);
            each_path(&item.subscript_expr, visit);
        }
        E::Slice(slice) => each_path(&slice.expr, visit),
        E::UnaryOp(op) => each_path(&op.expr, visit),
        E::BinOp(op) => {
            each_path(&op.left, visit);
            each_path(&op.right, visit);
        }
        E::Compare(compare) => {
            each_path(&compare.expr, visit);
            compare.ops.iter().for_each(|op| each_path(&op.expr, visit));
        }
        E::IfExpr(choice) => {
            each_path(&choice.true_expr, visit);
            each_path(&choice.test_expr, visit);
            choice.false_expr.iter().for_each(|expr| each_path(expr, visit));
        }
        E::Filter(filter) => {
            filter.expr.iter().for_each(|expr| each_path(expr, visit));
            filter.args.iter().for_each(|arg| each_path(arg_expr(arg), visit));
        }
        E::Test(test) => {
            each_path(&test.expr, visit);
            test.args.iter().for_each(|arg| each_path(arg_expr(arg), visit));
        }
        E::Call(call) => {
            // A function of the language is called by its name, a method on what it belongs to.
            if let E::GetAttr(method) = &call.expr {
                each_path(&method.expr, visit);
            }
            call.args.iter().for_each(|arg| each_path(arg_expr(arg), visit));
        }
        E::List(list) => list.items.iter().for_each(|expr| each_path(expr, visit)),
        E::Tuple(list) => list.items.iter().for_each(|expr| each_path(expr, visit)),
        E::Map(map) => map.values.iter().for_each(|expr| each_path(expr, visit)),
    }
}

impl Step {
    fn pointer(&self) -> String {
        match self {
            Self::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Self::Place(place) => format!("/{place}"),
        }
    }

    fn of<'j>(&self, value: &'j Json) -> Option<&'j Json> {
        match self {
            Self::Key(key) => value.get(key),
            Self::Place(place) => {
                let items = value.as_array()?;
                let place =
                    if *place < 0 { *place + i64::try_from(items.len()).ok()? } else { *place };
                items.get(usize::try_from(place).ok()?)
            }
        }
    }
}

/// What of a path is not there, where it is not.
fn missing(sight: &Sight<'_>, root: &str, steps: &[Step], span: Range<usize>) -> Option<Miss> {
    let Some((mut value, mut pointer)) = sight.root(root) else {
        let detail = format!("there is no {root:?} here; `item` needs an `each`");
        return Some(Miss { span, pointer: String::new(), detail, help: None });
    };
    for step in steps {
        if let Some(next) = step.of(value) {
            pointer.push_str(&step.pointer());
            value = next;
            continue;
        }
        let (detail, help) = if root == "headers" {
            let name = steps.iter().map(Step::pointer).collect::<String>();
            let name = name.trim_start_matches('/');
            (format!("the header {name} is missing"), names(value, name))
        } else {
            let full = format!("{pointer}{}", step.pointer());
            let Step::Key(key) = step else {
                let detail = format!("the payload has no {full}");
                return Some(Miss { span, pointer: full, detail, help: None });
            };
            let mut help = names(value, key);
            let mut elsewhere = Vec::new();
            find_key(sight.payload, key, "", &mut elsewhere);
            if !elsewhere.is_empty() {
                let found = format!("{key:?} stands at {}", elsewhere.join(", "));
                help = format!("{help}\n{found}");
            }
            (format!("the payload has no {full}"), help)
        };
        let pointer = if root == "headers" { String::new() } else { pointer + &step.pointer() };
        return Some(Miss { span, pointer, detail, help: Some(help) });
    }
    None
}

/// The keys that are there instead, the nearest first.
fn names(value: &Json, wanted: &str) -> String {
    let Some(object) = value.as_object() else {
        return format!("what is there is {}", kind(value));
    };
    let mut keys: Vec<(&String, f64)> =
        object.keys().map(|key| (key, strsim::jaro_winkler(key, wanted))).collect();
    keys.sort_by(|a, b| b.1.total_cmp(&a.1));
    let more = keys.len().saturating_sub(MAX_NAMES);
    let listed: Vec<&str> = keys.iter().take(MAX_NAMES).map(|(key, _)| key.as_str()).collect();
    if listed.is_empty() {
        return "what is there is empty".to_owned();
    }
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("nearest: {}{more}", listed.join(", "))
}

const fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Where else a key stands, up to three places.
fn find_key(value: &Json, key: &str, pointer: &str, found: &mut Vec<String>) {
    if found.len() == 3 {
        return;
    }
    match value {
        Json::Object(object) => {
            for (name, value) in object {
                let pointer = format!("{pointer}{}", Step::Key(name.clone()).pointer());
                if name == key && found.len() < 3 {
                    found.push(pointer.clone());
                }
                find_key(value, key, &pointer, found);
            }
        }
        Json::Array(items) => {
            for (n, value) in items.iter().enumerate().take(3) {
                find_key(value, key, &format!("{pointer}/{n}"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compiled(source: &str) -> Expression {
        Expression::compile(source, 0..source.len(), source).expect(source)
    }

    #[test]
    fn an_expression_reads_the_payload_and_says_what_it_does_not_find() {
        let payload = json!({"detail": {"id": 7, "status": "OPEN", "tags": ["a"]}, "none": null});
        let headers = json!({"x-topic": "returns/close"});
        let sight = Sight::new(&payload, &headers, None);
        for (source, value) in [
            ("payload.detail.status|lower", json!("open")),
            ("'Z-' ~ payload.detail.id", json!("Z-7")),
            ("headers['x-topic']", json!("returns/close")),
            ("payload.detail.priority|default('low')", json!("low")),
            ("payload.a.b.c|default(none)", json!(null)),
            ("payload.none", json!(null)),
            ("payload.detail.tags[0]", json!("a")),
            ("payload.x if payload.x is defined else payload.detail.id", json!(7)),
            ("'y' if payload.detail.id == 7 or payload.x else 'n'", json!("y")),
            (
                "'o/' ~ (payload.detail.id if payload.detail is defined else payload.x)",
                json!("o/7"),
            ),
            ("'y' if (payload.none or payload.detail.id) is number else payload.x", json!("y")),
            ("'y' if not payload.x|default(none) else payload.y", json!("y")),
        ] {
            assert_eq!(compiled(source).value(&sight), Ok(value), "{source}");
        }
        for (source, pointer, blamed) in [
            ("payload.detail.state", "/detail/state", "payload.detail.state"),
            ("'Z-' ~ payload.ticket.id", "/ticket", "payload.ticket.id"),
            ("payload.detail.tags[3]", "/detail/tags/3", "payload.detail.tags[3]"),
            ("headers['x-other']", "", "headers['x-other']"),
            ("payload[payload.detail.status]", "", "payload[payload.detail.status]"),
            ("item.id", "", "item.id"),
        ] {
            let misses = compiled(source).value(&sight).expect_err(source);
            assert_eq!((misses.len(), &*misses[0].pointer), (1, pointer), "{source}: {misses:?}");
            assert_eq!(&source[misses[0].span.clone()], blamed, "{source}");
        }
        let miss = compiled("payload.detail.statsu").value(&sight).expect_err("misspelt");
        assert!(miss[0].help.as_deref().is_some_and(|help| help.starts_with("nearest: status")));
        let miss = compiled("payload.status").value(&sight).expect_err("moved");
        assert!(miss[0].help.as_deref().is_some_and(|help| help.contains("/detail/status")));
        assert!(compiled("payload.detail.id > 3").holds(&sight));
        assert!(!compiled("payload.missing > 3").holds(&sight));
    }

    #[test]
    fn what_is_no_expression_or_reads_an_unknown_name_is_refused_with_its_place() {
        for (source, blamed) in [("payload.", ""), ("ticket", "ticket"), ("'a' ~ lower(x)", "x")] {
            let (span, detail) =
                Expression::compile(source, 0..source.len(), source).expect_err(source);
            assert!(source[span].contains(blamed), "{source}: {detail}");
        }
        assert!(Expression::compile("range(3)|list", 0..13, "range(3)|list").is_ok());
    }
}
