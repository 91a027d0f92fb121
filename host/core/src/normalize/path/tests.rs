//! Tests of paths on documents: rejected paths, found values and the budget.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn evaluate(path: &str, document: &Json) -> Result<Vec<Value>, FieldsOverBudget> {
    FieldPath::evaluate(&[FieldPath::parse(path).unwrap()], document)
}

#[test]
fn fields_are_typed_by_what_is_found() {
    let json = json!({"a": {"b": [1, 2.5, "x", null, true, {"c": 1}]}});
    let cases = [
        ("$.a.b[0]", Value::Integer(1)),
        ("$.a.b[1]", Value::Number(2.5)),
        ("$.a.b[2]", Value::Text("x".to_owned())),
        ("$.a.b[3]", Value::Null),
        ("$.a.b[4]", Value::Boolean(true)),
        ("$.a.b[5]", Value::Json(r#"{"c":1}"#.to_owned())),
        ("$.a.b[0:2]", Value::Json("[1,2.5]".to_owned())),
        ("$.no", Value::Null),
    ];
    for (path, value) in cases {
        assert_eq!(evaluate(path, &json), Ok(vec![value]), "{path}");
    }
}

#[test]
fn paths_that_are_slow_by_themselves_are_refused_with_the_reason_and_a_hint() {
    let long = format!("$.{}", "a".repeat(MOST_BYTES_OF_PATH));
    let deep = format!("$[?{}@.a{}]", "(".repeat(8), ")".repeat(8));
    let far = "$.a".to_owned() + &".a".repeat(MOST_SEGMENTS);
    let many = format!("$[{}]", vec!["0"; MOST_SELECTORS + 1].join(","));
    let refused = [
        ("$..[?$..*]", "inside a filter"),
        ("$..[?$..* ]", "inside a filter"),
        ("$[?@[?@.a]]", "inside a filter"),
        ("$[?@[*]]", "inside a filter"),
        ("$[?@.a[0:1]]", "inside a filter"),
        ("$[?@['a','b']]", "inside a filter"),
        ("$..a..b", "once in a path"),
        ("$[?match(@.a, 'a*')]", "functions are not supported"),
        ("$[?length(@.a) > 1]", "functions are not supported"),
        ("$[?count(@..*) > 1]", "functions are not supported"),
        (&long, "514 bytes"),
        (&deep, "nest more than 8 deep"),
        (&far, "33 segments"),
        (&many, "17 selectors"),
    ];
    for (path, reason) in refused {
        let fault = FieldPath::parse(path).unwrap_err();
        assert!(fault.contains(reason) && fault.contains("hint: "), "{path}: {fault}");
    }
    for no_path in [
        "a.b",
        "",
        "$.",
        "$[",
        "$.a b",
        "$[?@.a b == 1]",
        "$. a",
        "$[?@. a]",
        "$...a",
        "$[?@.a =]",
        "$[?1]",
    ] {
        let fault = FieldPath::parse(no_path).unwrap_err();
        assert!(fault.starts_with("this is no JSONPath"), "{no_path}: {fault}");
        assert_eq!(fault.lines().count(), 1, "{fault}");
    }
}

#[test]
fn a_parser_that_recurses_gets_no_path_that_is_deep() {
    for open in ["(", "[?", "[?@", "[?!(", "[?length("] {
        let mut path = "$[?".to_owned();
        while path.len() + open.len() <= MOST_BYTES_OF_PATH {
            path.push_str(open);
        }
        let fault = FieldPath::parse(&path).unwrap_err();
        assert!(fault.contains("nest more than 8 deep"), "{open}: {fault}");
    }
    // Brackets in a string literal do not count as nesting.
    let text = "[".repeat(100);
    assert!(FieldPath::parse(&format!(r"$['\'{text}']")).is_ok());
}

/// Returns a document of about 1.5 MB and 200,000 values, both wide and deep: the largest that an API
/// server stores.
fn large() -> Json {
    let mut items = String::new();
    for number in 0..35_000 {
        let comma = if number == 0 { "" } else { "," };
        write!(items, r#"{comma}{{"name":"n{number:07}","v":[{number},{{"w":{number}}}]}}"#)
            .unwrap();
    }
    let text = format!(r#"{{"kind":"T","spec":{{"items":[{items}]}}}}"#);
    assert!((1_400_000..1_600_000).contains(&text.len()), "{}", text.len());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_class_of_path_ends_within_its_budget_on_an_object_of_a_megabyte_and_a_half() {
    let large = large();
    let doubling = format!("$.spec{}", "[*,*]".repeat(31));
    let paths = [
        ("$.spec.items[34999].name", true),
        ("$.spec.items[-1].v[1].w", true),
        ("$.spec.items[0:10]", true),
        ("$.spec.items[::-3200].name", true),
        ("$.spec.items[*].name", false),
        ("$.spec.items[?@.name == 'n0000007'].v", false),
        ("$.spec.items[?@ == $.spec.items]", false),
        ("$.spec.items[?$.spec == $.spec]", false),
        ("$.spec.items", false),
        ("$", false),
        ("$..w", false),
        ("$..*", false),
        ("$..[?@.w == 5]", false),
        ("$..[?$.spec == @]", false),
        (&doubling, false),
    ];
    for (path, is_within) in paths {
        let parsed = [FieldPath::parse(path).unwrap()];
        let mut budget = Budget::of_event();
        let found = FieldPath::evaluate_within(&parsed, &large, &mut budget);
        assert_eq!(found.is_ok(), is_within, "{path}");
        assert!(budget.visited() <= MOST_VISITS, "{path}");
    }
}

#[test]
fn all_paths_of_an_interest_share_one_budget() {
    let document = json!({"a": vec![1; MOST_VISITS / 2]});
    let path = FieldPath::parse("$.a[?@ == 2]").unwrap();
    let once = FieldPath::evaluate(std::slice::from_ref(&path), &json!({"a": vec![1; 10_000]}));
    assert_eq!(once, Ok(vec![Value::Null]));
    let spent = FieldPath::evaluate(&[path], &document).unwrap_err();
    assert_eq!(spent, FieldsOverBudget::Visits { path: "$.a[?@ == 2]".to_owned() });

    let half = json!({"a": "x".repeat(MOST_FOUND / 2)});
    let path = FieldPath::parse("$.a").unwrap();
    assert!(FieldPath::evaluate(&[path.clone(), path.clone()], &half).is_ok());
    let spent = FieldPath::evaluate(&[path.clone(), path.clone(), path], &half).unwrap_err();
    assert_eq!(spent, FieldsOverBudget::Found { path: "$.a".to_owned() });
}

/// Generates paths of all supported forms over few names, so that they match.
fn paths() -> impl Strategy<Value = String> {
    let single = prop_oneof![
        Just(".a".to_owned()),
        Just("['b']".to_owned()),
        Just(r#"["a\u0062"]"#.to_owned()),
        (-3..3i64).prop_map(|index| format!("[{index}]")),
    ];
    let singular = proptest::collection::vec(single.clone(), 0..3).prop_map(|steps| steps.concat());
    let operand = prop_oneof![
        singular.clone().prop_map(|steps| format!("@{steps}")),
        singular.prop_map(|steps| format!("${steps}")),
        Just("1".to_owned()),
        Just("-1.5e0".to_owned()),
        Just("'x'".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
    ];
    let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let test = prop_oneof![
        (operand.clone(), operator, operand).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
        Just("@.a".to_owned()),
        Just("!@.b".to_owned()),
        Just("!(@.a && $.b)".to_owned()),
    ];
    let joined = (test.clone(), prop::sample::select(vec!["&&", "||"]), test)
        .prop_map(|(l, op, r)| format!("{l} {op} {r}"));
    let slice = (proptest::option::of(-4..4i64), proptest::option::of(-4..4i64), -2..3i64)
        .prop_map(|(start, end, step)| {
            let text = |number: Option<i64>| number.map_or(String::new(), |n| n.to_string());
            format!("[{}:{}:{step}]", text(start), text(end))
        });
    let segment = prop_oneof![
        4 => single,
        2 => Just(".*".to_owned()),
        1 => Just("[*,0,'a']".to_owned()),
        2 => slice,
        2 => joined.prop_map(|filter| format!("[?{filter}]")),
    ];
    let segments = proptest::collection::vec(segment, 0..4);
    (segments, prop::bool::ANY).prop_map(|(segments, descends)| {
        let mut path = "$".to_owned();
        for (number, segment) in segments.iter().enumerate() {
            if descends && number == 1 {
                path.push_str("..");
                path.push_str(segment.trim_start_matches('.'));
            } else {
                path.push_str(segment);
            }
        }
        path
    })
}

fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!(-1.5)),
        Just(json!("x")),
        Just(json!("y")),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop::sample::select(vec!["a", "b", "ab", "c"]).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::btree_map(name, inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// An independent evaluator finds the same values.
    #[test]
    fn what_is_found_is_what_another_evaluator_finds(path in paths(), document in documents()) {
        // For these operators the other evaluator treats two missing values as unequal, against RFC 9535,
        // section 2.3.5.2.2.
        prop_assume!(!path.contains("<=") && !path.contains(">="));
        let other = serde_json_path::JsonPath::parse(&path).unwrap();
        let ours = FieldPath::parse(&path).unwrap();
        let found = walk::find(&ours.segments, &document, &mut Budget::of_event()).unwrap();
        prop_assert_eq!(found, other.query(&document).all(), "{}", path);
    }
}

#[test]
fn absent_values_are_equal_and_so_neither_is_larger() {
    let found = |path: &str| {
        let path = FieldPath::parse(path).unwrap();
        let document = json!({"a": null});
        walk::find(&path.segments, &document, &mut Budget::of_event()).unwrap().len()
    };
    assert_eq!(found("$[?@.a == @.b]"), 1);
    assert_eq!(found("$[?@.a <= @.b]"), 1);
    assert_eq!(found("$[?@.a < @.b]"), 0);
}
