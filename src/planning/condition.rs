//! `when`: a condition over `case`, `facts`, `customer` and `now`, in minijinja's language.

use std::ops::Range;
use std::sync::Arc;

use minijinja::machinery::{ast, parse_expr};
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, UndefinedBehavior, Value};
use serde::Serialize;

use crate::domain::time::Instant;
use crate::domain::{Case, Customer};

/// Steps one evaluation may take.
const FUEL: u64 = 2_000;

/// The name of the one template that holds the compiled condition.
const NAME: &str = "when";

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    pub source: String,
    environment: Arc<Environment<'static>>,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Condition({})", self.source)
    }
}

/// Why a condition is refused, with the bytes of the expression that are to blame.
#[derive(Debug)]
pub struct ConditionFault {
    pub span: Option<Range<usize>>,
    pub detail: String,
}

impl Condition {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: &str) -> Result<Self, ConditionFault> {
        let fault = |error: Error| ConditionFault {
            span: error.range(),
            detail: error.detail().unwrap_or("is no expression").to_owned(),
        };
        environment().compile_expression(source).map_err(fault)?;
        let mut environment = environment();
        // Kept as a template because a compiled expression borrows its environment.
        let text = format!("{{% if {source} %}}1{{% endif %}}");
        environment.add_template_owned(NAME, text).map_err(|error| ConditionFault {
            span: None,
            detail: error.detail().unwrap_or("is no expression").to_owned(),
        })?;
        Ok(Self { source: source.to_owned(), environment: Arc::new(environment) })
    }

    /// Does it hold? Something undefined in it makes it false: what is not known cannot hold.
    #[must_use]
    pub fn holds(&self, context: &Value) -> bool {
        let template = self.environment.get_template(NAME).expect("added when compiled");
        template.render(context.clone()).is_ok_and(|text| text == "1")
    }

    /// Checks the condition against a sample: nothing undefined, no text compared with a number.
    ///
    /// # Errors
    /// What is wrong, and where in the expression.
    pub fn check(&self, context: &Value) -> Result<(), ConditionFault> {
        let environment = environment();
        let expression = environment.compile_expression(&self.source).expect("compiled before");
        if let Ok(tree) = parse_expr(&self.source) {
            check_comparisons(&tree, &self.source, context)?;
        }
        expression.eval(context.clone()).map(drop).map_err(|error| ConditionFault {
            span: error.range(),
            detail: format!(
                "{}; `{}` uses something the samples do not have",
                error.detail().unwrap_or("cannot be evaluated"),
                self.source
            ),
        })
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment
}

/// Walks to every comparison and looks at the kinds of its two sides.
fn check_comparisons(
    expr: &ast::Expr<'_>,
    source: &str,
    context: &Value,
) -> Result<(), ConditionFault> {
    match expr {
        ast::Expr::BinOp(op) => {
            use ast::BinOpKind as K;
            if matches!(op.op, K::Eq | K::Ne | K::Lt | K::Lte | K::Gt | K::Gte) {
                check_kinds(&op.left, &op.right, source, context)?;
            }
            check_comparisons(&op.left, source, context)?;
            check_comparisons(&op.right, source, context)?;
        }
        ast::Expr::UnaryOp(op) => check_comparisons(&op.expr, source, context)?,
        ast::Expr::IfExpr(op) => {
            check_comparisons(&op.test_expr, source, context)?;
            check_comparisons(&op.true_expr, source, context)?;
        }
        ast::Expr::Compare(op) => {
            let mut left = &op.expr;
            for next in &op.ops {
                check_kinds(left, &next.expr, source, context)?;
                left = &next.expr;
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_kinds(
    left: &ast::Expr<'_>,
    right: &ast::Expr<'_>,
    source: &str,
    context: &Value,
) -> Result<(), ConditionFault> {
    let kind = |expr: &ast::Expr<'_>| {
        let span = expr.span();
        let text = source.get(span.start_offset as usize..span.end_offset as usize)?;
        let value = environment().compile_expression(text).ok()?.eval(context.clone()).ok()?;
        Some(value.kind())
    };
    let (start, end) = (left.span().start_offset, right.span().end_offset);
    match (kind(left), kind(right)) {
        (Some(ValueKind::String), Some(ValueKind::Number))
        | (Some(ValueKind::Number), Some(ValueKind::String)) => Err(ConditionFault {
            span: Some(start as usize..end as usize),
            detail: "compares text with a number; turn the text into one with `|float` or `|int`"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// What a condition sees of the customer.
#[derive(Serialize)]
struct Person<'a> {
    id: &'a str,
    name: &'a str,
    attributes: &'a std::collections::BTreeMap<String, serde_json::Value>,
}

/// The values a condition is evaluated over.
#[must_use]
pub fn context(case: &Case, customer: &Customer, now: Instant) -> Value {
    minijinja::context! {
        case => minijinja::context! {
            id => case.id.as_str(),
            case_type => case.case_type.as_str(),
            state => case.state.as_deref(),
            previous_state => case.previous_state.as_deref(),
            opened_at => case.opened_at.to_rfc3339(),
            since => case.since.to_rfc3339(),
        },
        facts => minijinja::value::Serde(&case.facts),
        customer => minijinja::value::Serde(Person {
            id: customer.id.as_str(),
            name: &customer.profile.name,
            attributes: &customer.profile.attributes,
        }),
        now => now.to_rfc3339(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        minijinja::context! { facts => minijinja::context! { amount => "49.90", count => 3 } }
    }

    #[test]
    fn a_condition_holds_or_not_and_the_unknown_never_holds() {
        for (source, holds) in [
            ("facts.amount|float > 20", true),
            ("facts.count > 5", false),
            ("facts.count == 3 and facts.amount|float < 50", true),
            ("facts.missing > 1", false),
            ("facts.missing is defined", false),
        ] {
            let condition = Condition::compile(source).expect(source);
            assert_eq!(condition.holds(&sample()), holds, "{source}");
        }
    }

    #[test]
    fn comparing_text_with_a_number_is_refused_with_the_place() {
        let condition = Condition::compile("facts.count > 1 and facts.amount > 20").expect("valid");
        let fault = condition.check(&sample()).expect_err("text against number");
        assert_eq!(&condition.source[fault.span.expect("a place")], "facts.amount > 20");
        assert!(fault.detail.contains("|float"), "{}", fault.detail);
        for fine in ["facts.amount|float > 20", "facts.amount == '49.90'"] {
            Condition::compile(fine).expect("valid").check(&sample()).expect(fine);
        }
    }

    #[test]
    fn what_no_sample_has_is_refused_and_so_is_what_is_no_expression() {
        let condition = Condition::compile("facts.missing > 1").expect("valid");
        assert!(condition.check(&sample()).is_err());
        assert!(Condition::compile("facts.count >").is_err());
    }

    #[test]
    fn an_endless_condition_runs_out_of_fuel_and_does_not_hold() {
        let condition = Condition::compile("range(10000)|list|length > 0").expect("valid");
        let _ = condition.holds(&sample());
        let nested =
            Condition::compile("(range(9999)|map('string')|join)|length > 0").expect("valid");
        let _ = nested.holds(&sample());
    }
}
