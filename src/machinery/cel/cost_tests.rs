//! Costs that kube-apiserver's own tests state (kubernetes 1.36:
//! apiextensions-apiserver/pkg/apiserver/schema/cel/celcoststability_test.go,
//! compilation_test.go).

use serde_json::{Value, json};

use super::*;
use crate::machinery::schema::Schema;

/// What evaluating rules costs, and what it may cost at most.
#[track_caller]
fn costs(properties: Value, object: &Value, cases: &[(&str, u64)]) {
    let schema = Schema::from_openapi(&json!({ "type": "object", "properties": properties }))
        .expect("structural");
    let declared = Declared::of(schema.root(), true, "selfType").expect("visible");
    let environment = Environment::new().with_declared("self", &declared);
    for (rule, wanted) in cases {
        let program =
            Program::compile(&environment, rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        let value = super::json::convert(object, Shape::Resource(schema.root())).expect("converts");
        let mut budget = CostBudget::new(RUNTIME_BUDGET);
        let found = program.evaluate(&Activation::new().with("self", value), &mut budget);
        let holds = found.as_ref().ok().and_then(Val::as_bool);
        assert_eq!(holds, Some(true), "{rule}: {found:?}");
        let spent = RUNTIME_BUDGET - budget.remaining().expect("cheap");
        assert_eq!(spent, *wanted, "{rule}");
    }
}

#[test]
fn lists_cost_what_they_cost_upstream() {
    let array = json!({ "array": { "type": "array", "items": { "type": "integer" } } });
    let object = json!({ "array": [1, 1, 2, 2, 3, 3, 4, 5] });
    costs(
        array,
        &object,
        &[
            ("2 in self.array", 10),
            ("self.array.all(e, e > 0)", 43),
            ("self.array.exists(e, e > 2)", 36),
            ("self.array.exists_one(e, e > 4)", 22),
            ("!self.array.all(e, e < 2)", 21),
            ("!self.array.exists(e, e < 0)", 52),
            ("!self.array.exists_one(e, e == 2)", 25),
            ("size(self.array.filter(e, e%2 == 0)) == 3", 68),
            ("self.array.map(e, e * 20).filter(e, e > 50).exists(e, e == 60)", 194),
            ("size(self.array) == 8", 4),
            ("self.array.all(i, e, e > 0)", 43),
            ("self.array.exists(i, e, e > 2)", 36),
            ("self.array.existsOne(i, e, e > 4)", 22),
            ("self.array.transformList(i, e, e > 2, e * 2).size() > 0", 77),
            ("self.array.transformList(i, e, e * 2).size() > 0", 117),
        ],
    );
}

#[test]
fn keyed_lists_cost_what_they_cost_upstream() {
    let text = json!({ "type": "string" });
    let properties = json!({ "listMap": { "type": "array", "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": { "type": "object", "required": ["k"], "properties": { "k": text, "v": text, "v2": text } } } });
    let object = json!({ "listMap": [{ "k": "a1", "v": "b1" }, { "k": "a2", "v": "b2" },
        { "k": "a3", "v": "b3", "v2": "z" }] });
    costs(
        properties,
        &object,
        &[
            ("has(self.listMap[0].v)", 3),
            ("self.listMap.all(m, m.k.startsWith('a'))", 21),
            ("self.listMap.all(m, !has(m.v2) || m.v2 == 'z')", 21),
            ("self.listMap.exists(m, m.k.endsWith('1'))", 13),
            ("self.listMap.exists_one(m, m.k == 'a3')", 15),
            ("!self.listMap.exists(m, m.v == 'x')", 25),
            ("size(self.listMap.filter(m, m.k == 'a1')) == 1", 27),
            ("self.listMap.exists(m, m.k == 'a1' && m.v == 'b1')", 16),
            ("self.listMap.map(m, m.v).exists(v, v == 'b1')", 55),
            ("self.listMap.exists(m, has(m.v2) && m.v2 == 'z')", 21),
            ("!self.listMap.all(m, has(m.v2) && m.v2 != 'z')", 10),
            ("self.listMap.map(m, has(m.v2) && m.v2 == 'z', m.v2).size() == 1", 25),
            ("self.listMap.filter(m, has(m.v2) && m.v2 == 'z').map(m, m.v2).size() == 1", 39),
            ("self.listMap.exists(m, m.v2 == 'z')", 24),
            ("!self.listMap.all(m, m.v2 != 'z')", 22),
            ("self.listMap.transformList(i, m, m.v).size() == 3", 47),
        ],
    );
}

#[test]
fn scalars_and_maps_cost_what_they_cost_upstream() {
    let text = json!({ "type": "string" });
    let properties = json!({
        "s": text, "i": { "type": "integer" }, "j": { "type": "integer" },
        "d": { "type": "string", "format": "duration" },
        "b": { "type": "string", "format": "byte" },
        "val": { "type": "object", "additionalProperties": { "type": "integer" } },
        "set": { "type": "array", "items": text, "x-kubernetes-list-type": "set" },
    });
    let object = json!({ "s": "Rook takes 👑", "i": 1, "j": 1, "d": "1h2m3s4ms", "b": "QUI=",
        "val": { "b": 1, "d": 2 }, "set": ["a", "b", "c"] });
    costs(
        properties,
        &object,
        &[
            ("self.i == self.j", 5),
            ("type(self.i) == int", 4),
            ("double(self.i) < 10.0", 4),
            ("double(5) < 10.0", 1),
            ("self.s.startsWith('Rook')", 3),
            ("!self.s.startsWith('knight')", 4),
            ("self.s.matches('^[^0-9]*$')", 8),
            ("size(self.s) == 12", 4),
            ("self.s.charAt(3) == 'k'", 4),
            ("self.s.indexOf('o') == 1", 4),
            ("self.s.replace(' ', 'x') == 'Rookxtakesx👑'", 7),
            ("self.s.split(' ') == ['Rook', 'takes', '👑']", 6),
            ("self.s.substring(4, 10).trim() == 'takes'", 6),
            ("self.s.upperAscii() == 'ROOK TAKES 👑'", 6),
            ("self.s.lowerAscii() == self.s.lowerAscii()", 10),
            (
                "'%d %s %f %s %s'.format([1, 'abc', 1.0, duration('1m'), \
                 timestamp('2000-01-01T00:00:00.000Z')]) == '1 abc 1.000000 60s 2000-01-01T00:00:00Z'",
                6,
            ),
            ("'%b %b %b'.format([7, 8, 9]) == '111 1000 1001'", 3),
            ("self.b == b'AB'", 3),
            ("self.d == duration('1h2m') + duration('3s4ms')", 4),
            ("self.d.getHours() == 1", 4),
            ("type(self.d) == google.protobuf.Duration", 4),
            ("self.s in ['Rook takes 👑', 'x']", 2),
            ("self.set == ['c', 'b', 'a']", 3),
            ("'a' in self.set", 5),
            ("self.set + ['c', 'd'] == ['a', 'b', 'c', 'd']", 4),
            ("sets.contains(self.set, ['a'])", 6),
            ("sets.equivalent(self.set, ['a', 'b', 'c'])", 21),
            ("!('a' in self.val)", 4),
            ("!has(self.val.a)", 3),
            ("self.val.all(k, self.val[k] > 0)", 17),
            ("!self.val.exists(k, self.val[k] == 3)", 20),
            ("self.val.exists_one(k, self.val[k] == 2)", 14),
            ("size(self.val.filter(k, self.val[k] > 1)) == 1", 26),
            ("self.val.all(k, v, v > 0)", 13),
            ("self.val.transformMap(k, v, v + 1).size() == 2", 15),
            ("self.val.transformMapEntry(k, v, {k + '2': v + 1}).size() == 2", 77),
        ],
    );
}

/// The most that a rule of a schema may cost.
#[track_caller]
fn at_most(schema: &Value, cases: &[(&str, u64)]) {
    let document = json!({ "type": "object", "properties": { "x": schema } });
    let schema = Schema::from_openapi(&document).expect("structural");
    let node = schema.root().property("x").expect("declared");
    let declared = Declared::of(node, false, "selfType").expect("visible");
    let environment = Environment::new().with_declared("self", &declared);
    for (rule, wanted) in cases {
        let program =
            Program::compile(&environment, rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        assert_eq!(program.cost_max(), *wanted, "{rule} of {document}");
    }
}

fn array(items: Value, max: Option<u64>) -> Value {
    let mut array = json!({ "type": "array", "items": items });
    if let Some(max) = max {
        array["maxItems"] = max.into();
    }
    array
}

#[test]
fn estimates_of_lists_are_upstreams() {
    let (number, text) = (json!({ "type": "number" }), json!({ "type": "string" }));
    at_most(
        &array(number.clone(), None),
        &[
            ("self.all(x, true)", 4_718_591),
            ("self[1] == 0.0", 2),
            ("self.all(x, x == 0.0)", 6_291_454),
        ],
    );
    at_most(
        &array(number.clone(), Some(10)),
        &[
            ("self.all(x, true)", 32),
            ("self.all(x, self.all(y, true))", 352),
            ("self.all(x, self.all(y, self.all(z, true)))", 3_552),
        ],
    );
    at_most(
        &array(text, None),
        &[("self.all(x, true)", 3_145_727), ("self[1] == self[1]", 314_577)],
    );
    at_most(&array(json!({ "type": "boolean" }), None), &[("self.all(x, true)", 1_887_437)]);
    at_most(
        &array(array(number.clone(), None), None),
        &[("self.all(x, true)", 3_145_727), ("self[0][0] == -1.0", 3)],
    );
    let map = json!({ "type": "object", "additionalProperties": number });
    at_most(&array(map, None), &[("self.all(x, x.y == 25.2)", 6_291_452), ("self[0].x > 2.0", 4)]);
    let union = json!({ "x-kubernetes-int-or-string": true });
    at_most(&array(union, None), &[("self.all(x, true)", 4_718_591), ("self[0] == 5", 3)]);
    for (format, cost) in [("duration", 2_359_295), ("date", 725_936), ("date-time", 428_963)] {
        let items = json!({ "type": "string", "format": format });
        at_most(&array(items, None), &[("self.all(x, true)", cost)]);
    }
    let inner = json!({ "type": "object", "required": ["required"],
        "properties": { "required": { "type": "string" }, "optional": { "type": "string" } } });
    let nested = array(json!({ "type": "object", "additionalProperties": inner }), None);
    at_most(&nested, &[("self.all(x, x[\"y\"].required == \"z\")", 7_340_027)]);
}

#[test]
fn estimates_of_strings_and_maps_are_upstreams() {
    at_most(
        &json!({ "type": "string" }),
        &[
            ("self.contains('test')", 314_574),
            ("self.startsWith('test')", 2),
            ("size(self + \"hello\") > size(\"hello\")", 314_578),
            ("self.matches(\"x\")", 314_574),
            ("\"\".matches(\"(((((((((())))))))))[0-9]\")", 7),
            ("self.matches(\"\")", 1),
            ("self == \"x\"", 2),
            ("self.find('[0-9]+') == ''", 629_147),
        ],
    );
    at_most(
        &json!({ "type": "string", "maxLength": 10 }),
        &[("self.contains('test')", 5), ("self.find('[0-9]+') == ''", 11)],
    );
    let map = |values: Value| json!({ "type": "object", "additionalProperties": values });
    for (values, cost) in [
        (json!({ "type": "number" }), 1_348_169),
        (json!({ "type": "string" }), 1_179_647),
        (json!({ "type": "boolean" }), 943_718),
        (json!({ "type": "string", "format": "duration" }), 1_048_577),
        (json!({ "type": "string", "format": "date" }), 524_288),
        (json!({ "type": "string", "format": "date-time" }), 349_526),
    ] {
        at_most(&map(values), &[("self.all(x, true)", cost), ("has(self.x)", 1)]);
    }
    at_most(&map(json!({ "type": "string" })), &[("self.all(x, x.contains(self[x]))", 2_752_507)]);
}
