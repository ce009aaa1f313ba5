//! The `webhooks` of the OpenAPI document: what other systems are told, and how.

use serde_json::{Value, json};
use utoipa::openapi::Paths;

use crate::domain::webhook::{
    AT_RISK, CALLBACK, CSAT, NOTIFICATION, PREFERENCE, REPLIED, TASK, TEST, TOLD,
};

const HOW: &str = "Signed as Standard Webhooks 1.0 says: `webhook-id`, `webhook-timestamp`, `webhook-signature` (one `v1,…` per secret of the hook). The id stays the same however often a fact is told: drop what you have seen. Any 2xx takes it; anything else is tried again over three days; 410 ends the hook.";

/// Every webhook, by its type.
#[must_use]
pub fn webhooks() -> Paths {
    let mut all = serde_json::Map::new();
    for status in TOLD {
        let kind = format!("{NOTIFICATION}{}", status.as_str());
        let says = format!("What became of a message: \"{}\"", status.for_customer());
        all.insert(kind.clone(), hook(&kind, &says, &notification(status.as_str())));
    }
    for (kind, says, data) in others() {
        all.insert(kind.to_owned(), hook(kind, says, &data));
    }
    serde_json::from_value(Value::Object(all)).expect("as the specification has it")
}

fn hook(kind: &str, says: &str, data: &Value) -> Value {
    json!({
        "post": {
            "tags": ["webhooks"],
            "operationId": format!("told_{}", kind.replace('.', "_")),
            "summary": says,
            "description": HOW,
            "security": [],
            "requestBody": {
                "required": true,
                "content": { "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["type", "timestamp", "data"],
                        "properties": {
                            "type": { "type": "string", "const": kind },
                            "timestamp": { "type": "string", "format": "date-time",
                                           "description": "When it happened." },
                            "data": {
                                "type": "object",
                                "description": "Ids and never an address. `sequence` grows from fact to fact: what is about one case can be put in order by it. A person who was erased leaves `{\"erased\": true}`.",
                            },
                        },
                    },
                    "example": { "type": kind, "timestamp": "2026-11-22T09:30:00.000Z", "data": data },
                } },
            },
            "responses": { "2XX": { "description": "Taken" }, "410": { "description": "No more of them" } },
        }
    })
}

fn notification(status: &str) -> Value {
    json!({
        "sequence": 17, "case": "R-1001", "case_type": "return", "customer": "C-42",
        "notification": "0190c5a2-6f0e-5a2b-9f3b-0d8b3a4b1c2d", "message": "return/received",
        "topic": "return", "channel": "email", "status": status, "reason": null, "attempts": 1,
        "rides_in": null,
        "explain": "https://tidings.example.com/v1/notifications/0190c5a2-6f0e-5a2b-9f3b-0d8b3a4b1c2d",
    })
}

fn others() -> [(&'static str, &'static str, Value); 7] {
    let answer = |message: &str, answer: &str| {
        json!({
            "sequence": 18, "case": "R-1001", "case_type": "return", "customer": "C-42",
            "notification": "0190c5a2-6f0e-5a2b-9f3b-0d8b3a4b1c2d", "message": message,
            "channel": "sms", "answer": answer, "answered_at": "2026-11-22T09:30:00+00:00",
        })
    };
    [
        (
            REPLIED,
            "A customer answered a question, or wrote in words of their own by text or mail: then `text` is what they wrote",
            answer("return/out-of-stock", "refund"),
        ),
        (CSAT, "A customer answered how we did", answer("return/how-did-we-do", "good")),
        (
            PREFERENCE,
            "A customer changed what they want to be told and how, by whichever door but an import",
            json!({"sequence": 19, "customer": "C-42", "by": "customer", "source": "centre",
                   "changed": {"cap_per_day": {"before": null, "after": 2}}}),
        ),
        (
            CALLBACK,
            "A customer asked to be called, or moved the call they were promised",
            json!({"sequence": 20, "customer": "C-42", "case": "R-1001", "moved": false,
                   "from": null, "to": "2026-11-22T13:30:00+00:00"}),
        ),
        (
            TASK,
            "A person must do what software could not",
            json!({"sequence": 21, "task": 3, "kind": "not_told", "case": "R-1001",
                   "detail": "Tell the customer of case R-1001 about \"received\": …",
                   "notification": null, "customer": "C-42"}),
        ),
        (
            AT_RISK,
            "The last day of a promise of another word has begun, and nothing is planned",
            json!({"sequence": 22, "case": "R-1001", "case_type": "return", "customer": "C-42",
                   "due_at": "2026-11-24T00:00:00+00:00"}),
        ),
        (TEST, "An operator looks whether a hook answers", json!({"hook": "desk"})),
    ]
}
