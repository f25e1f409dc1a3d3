//! Properties over random expressions. A failure prints its seed and the smallest case.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Compiles and evaluates; what comes out does not matter, only that something does.
fn run(expression: &str) -> Option<Result<String, String>> {
    let environment = Environment::new().with("x", Type::Dyn).with("i", Type::Int);
    let program = Program::compile(&environment, expression).ok()?;
    let object = json!({ "a": [1, 2.5, "s", null, true], "m": { "k": { "n": -1 } }, "s": "é1" });
    let activation = Activation::new().with("x", Val::json(&object)).with("i", Val::Int(7));
    let value = program.evaluate(&activation, &mut CostBudget::new(RUNTIME_BUDGET));
    Some(value.map(|value| format!("{value:?}")).map_err(|error| error.to_string()))
}

#[expect(clippy::too_many_lines, reason = "it is a list of what there is")]
fn expression() -> impl Strategy<Value = String> {
    let names = [
        "x",
        "i",
        "x.a",
        "x.m",
        "x.s",
        "x.m.k.n",
        "1",
        "-1",
        "0u",
        "1.5",
        "'a'",
        "b'a'",
        "null",
        "true",
        "[]",
        "{}",
        "[1, 2]",
        "{'a': 1}",
        "'%s'",
        "duration('1h')",
        "timestamp(0)",
        "9223372036854775807",
        "quantity('1Ki')",
        "optional.none()",
    ];
    let leaf = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let functions = [
        "size",
        "string",
        "int",
        "uint",
        "double",
        "dyn",
        "type",
        "bytes",
        "isIP",
        "quantity",
        "semver",
        "url",
        "cidr",
        "ip",
        "sign",
        "lists.range",
        "strings.quote",
    ];
    let members = [
        "contains",
        "startsWith",
        "matches",
        "split",
        "indexOf",
        "lastIndexOf",
        "charAt",
        "substring",
        "join",
        "format",
        "find",
        "findAll",
        "add",
        "compareTo",
        "slice",
        "flatten",
        "getHours",
        "containsIP",
    ];
    let nullary = [
        "size",
        "trim",
        "lowerAscii",
        "sum",
        "min",
        "isSorted",
        "reverse",
        "distinct",
        "sort",
        "first",
        "getFullYear",
        "hasValue",
        "value",
        "flatten",
        "join",
    ];
    let macros = ["all", "exists", "exists_one", "map", "filter", "sortBy", "optMap"];
    let operators = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"];
    leaf.prop_recursive(5, 40, 3, move |inner| {
        let pick = |from: &[&'static str]| prop::sample::select(from.to_vec());
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (pair.clone(), pick(&operators)).prop_map(|((a, b), o)| format!("({a} {o} {b})")),
            (inner.clone(), pick(&functions)).prop_map(|(a, f)| format!("{f}({a})")),
            (inner.clone(), pick(&nullary)).prop_map(|(a, f)| format!("{a}.{f}()")),
            (pair.clone(), pick(&members)).prop_map(|((a, b), f)| format!("{a}.{f}({b})")),
            (pair.clone(), pick(&macros)).prop_map(|((a, b), f)| format!("{a}.{f}(v, [v, {b}])")),
            (pair.clone(), pick(&macros)).prop_map(|((a, b), f)| format!("{a}.{f}(v, v == {b})")),
            pair.clone().prop_map(|(a, b)| format!("{a}[{b}]")),
            pair.clone().prop_map(|(a, b)| format!("{a}[?{b}].orValue({b})")),
            (pair, inner.clone()).prop_map(|((a, b), c)| format!("({a} ? {b} : {c})")),
            inner.prop_map(|a| format!("dyn({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_is_parsed_or_refused(text in "[ -~\\n\\té👑]{0,40}") {
        let _ = run(&text);
    }

    #[test]
    fn tokens_in_any_order_are_parsed_or_refused(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "x", "i", ".", "(", ")", "[", "]", "{", "}", ",", ":", "?", "1", "'a'", "+", "-",
                "!", "&&", "||", "==", "in", "has", "all", "v", "r'", "\"\"\"", "b", "1u", ".5",
                "0x1", "optMap", "null", "true", "//", "\n", "`a`", "'\\x4'",
            ]),
            0..24,
        )
    ) {
        let _ = run(&tokens.concat());
        let _ = run(&tokens.join(" "));
    }

    #[test]
    fn evaluation_never_panics(expression in expression()) {
        let _ = run(&expression);
    }

    #[test]
    fn integers_are_those_of_a_model(a: i64, b: i64) {
        let cases = [
            ("+", i128::from(a) + i128::from(b)),
            ("-", i128::from(a) - i128::from(b)),
            ("*", i128::from(a) * i128::from(b)),
        ];
        for (operator, wanted) in cases {
            let found = run(&format!("({a}) {operator} ({b})"));
            let wanted = match i64::try_from(wanted) {
                Ok(wanted) => Ok(format!("Int({wanted})")),
                Err(_) => Err("integer overflow".to_owned()),
            };
            prop_assert_eq!(found, Some(wanted));
        }
        for (operator, holds) in [("<", a < b), ("<=", a <= b), ("==", a == b), ("!=", a != b)] {
            let found = run(&format!("({a}) {operator} ({b})"));
            prop_assert_eq!(found, Some(Ok(format!("Bool({holds})"))));
        }
    }

    #[test]
    fn numbers_of_different_types_are_ordered_by_value(a: i32, b: u32, c in -1e9..1e9_f64) {
        let holds = |expression: String, wanted: bool| {
            prop_assert_eq!(run(&expression), Some(Ok(format!("Bool({wanted})"))), "{}", expression);
            Ok(())
        };
        holds(format!("({a}) < {b}u"), i64::from(a) < i64::from(b))?;
        holds(format!("({a}) <= ({c:?})"), f64::from(a) <= c)?;
        holds(format!("{b}u > ({c:?})"), f64::from(b) > c)?;
        holds(format!("dyn({a}) == double({a})"), true)?;
    }

    #[test]
    fn strings_are_those_of_a_model(text in "[a-cé]{0,8}", part in "[a-cé]{0,2}") {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (shown, piece) = (quoted(&text), quoted(&part));
        let index = text.find(&part).map_or(-1, |at| text[..at].chars().count() as i64);
        let cases = [
            (format!("{shown}.contains({piece})"), format!("Bool({})", text.contains(&part))),
            (format!("{shown}.indexOf({piece})"), format!("Int({index})")),
            (format!("size({shown})"), format!("Int({})", text.chars().count())),
            (format!("{shown}.split({piece}).join({piece}) == {shown}"), "Bool(true)".to_owned()),
        ];
        for (expression, wanted) in cases {
            prop_assert_eq!(run(&expression), Some(Ok(wanted)), "{}", expression);
        }
    }

    #[test]
    fn names_of_properties_survive_escaping(name in "[a-z_./-]{1,12}") {
        if let Some(escaped) = super::escaping::escape(&name) {
            prop_assert_eq!(super::escaping::unescape(&escaped), name.as_str());
        }
    }
}
