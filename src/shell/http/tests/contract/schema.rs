//! As much of JSON Schema as the document uses; a keyword that is not known here is a complaint.

use serde_json::Value;

/// Says what is wrong with `value` by `schema`.
pub(super) fn complaints(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = schema.as_object().expect("a schema");
    let mut wrong = Vec::new();
    for (keyword, rule) in schema {
        match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap();
                let target = &document["components"]["schemas"][name];
                wrong.extend(complaints(document, target, value, at));
            }
            "oneOf" => {
                let fits = |one: &&Value| complaints(document, one, value, at).is_empty();
                if rule.as_array().unwrap().iter().filter(fits).count() != 1 {
                    wrong.push(format!("{at}: not exactly one of them: {value}"));
                }
            }
            "type" => {
                let types: Vec<&Value> =
                    rule.as_array().map_or(vec![rule], |it| it.iter().collect());
                if !types.iter().any(|name| is_of_type(value, name.as_str().unwrap())) {
                    wrong.push(format!("{at}: {value} is not of type {rule}"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                wrong.push(format!("{at}: {value} is none of {rule}"));
            }
            "minimum" if value.as_u64().is_some_and(|it| it < rule.as_u64().unwrap()) => {
                wrong.push(format!("{at}: {value} is below {rule}"));
            }
            "maximum" if value.as_u64().is_some_and(|it| it > rule.as_u64().unwrap()) => {
                wrong.push(format!("{at}: {value} is above {rule}"));
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    wrong.extend(complaints(document, rule, item, &format!("{at}[{place}]")));
                }
            }
            "required" if value.is_object() => {
                let names = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                let missing = names.filter(|name| value.get(name).is_none());
                wrong.extend(missing.map(|name| format!("{at}: {name} is missing")));
            }
            "properties" => {
                for (name, of) in rule.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        wrong.extend(complaints(document, of, field, &format!("{at}.{name}")));
                    }
                }
            }
            "additionalProperties" if rule == &Value::Bool(false) => {
                let known = &schema["properties"];
                let fields = value.as_object().into_iter().flat_map(serde_json::Map::keys);
                let unknown = fields.filter(|name| known.get(name.as_str()).is_none());
                wrong.extend(unknown.map(|name| format!("{at}: {name} is not in the document")));
            }
            "enum"
            | "minimum"
            | "maximum"
            | "required"
            | "description"
            | "format"
            | "additionalProperties" => {}
            other => wrong.push(format!("{at}: the test does not know {other}")),
        }
    }
    wrong
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}
