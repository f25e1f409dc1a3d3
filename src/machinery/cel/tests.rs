use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn environment() -> Environment {
    Environment::new().with("x", Type::Dyn)
}

fn value_of(expression: &str) -> Result<String, String> {
    let program =
        Program::compile(&environment(), expression).map_err(|error| error.to_string())?;
    let object =
        json!({ "a": { "b": [1, 2, 3] }, "s": "text", "n": null, "d": 1.5, "m": { "k": "v" } });
    let activation = Activation::new().with("x", Val::json(&object));
    let mut budget = CostBudget::new(RUNTIME_BUDGET);
    let value = program.evaluate(&activation, &mut budget);
    value.map(|value| format!("{value:?}")).map_err(|error| error.to_string())
}

#[track_caller]
fn holds(expressions: &[&str]) {
    for expression in expressions {
        assert_eq!(value_of(expression), Ok("Bool(true)".to_owned()), "{expression}");
    }
}

#[track_caller]
fn fails(cases: &[(&str, &str)]) {
    for (expression, message) in cases {
        assert_eq!(value_of(expression), Err((*message).to_owned()), "{expression}");
    }
}

#[test]
fn operators_are_cel_gos() {
    holds(&[
        "1 + 2 * 3 == 7",
        "-7 / 2 == -3 && -7 % 2 == -1 && 7u / 2u == 3u",
        "dyn(1) == 1.0 && dyn(1u) == 1 && 1 < 1.5 && 2u > 1",
        "'a' + 'b' == \"ab\" && 'a' < 'b' && b'a' + b'b' == b'ab'",
        "[1] + [2, 3] == [1, 2, 3] && [1, 2][1] == 2",
        "{'a': 1}.a == 1 && {'a': 1}['a'] == 1 && {1: 'x'}[1] == 'x'",
        "1 in [1, 2] && 'a' in {'a': 1} && !(3 in [1, 2])",
        "true || 1 / 0 > 0",
        "1 / 0 > 0 || true",
        "!(false && 1 / 0 > 0)",
        "(1 < 2 ? 'a' : 'b') == 'a'",
        "dyn(1) != 'a' && null == null && dyn([1, 2]) != [1]",
        "size('héé') == 3 && 'abc'.size() == 3 && size([1]) == 1 && size({}) == 0",
        "type(1) == int && type('a') == string && type(type(1)) == type",
        "type(x) == map && type(x.n) == null_type && type(1u) == uint",
        "r'\\n' == '\\\\n' && '''a\nb''' == 'a\\nb' && '\\u00e9' == 'é' && '\\x41' == 'A'",
        "-9223372036854775808 < 0 && 0x10 == 16 && .5 + 1e1 == 10.5",
        "--1 == 1 && !!true && -x.d == -1.5",
        "x.a.b[0] == 1 && x['s'] == 'text' && x.m.k == 'v'",
    ]);
}

#[test]
fn errors_at_run_time_are_cel_gos() {
    fails(&[
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("-9223372036854775808 - 1", "integer overflow"),
        ("4611686018427387904 * 2", "integer overflow"),
        ("-(-9223372036854775808)", "integer overflow"),
        ("0u - 1u", "unsigned integer overflow"),
        ("18446744073709551615u + 1u", "unsigned integer overflow"),
        ("x.zz", "no such key: zz"),
        ("x.a.b[5]", "index out of bounds: 5"),
        ("x.a.b[-1]", "index out of bounds: -1"),
        ("x.s + 1", "no such overload"),
        ("x.s.foo", "no such overload"),
        ("{'a': 1}['b']", "no such key: b"),
        ("x.s == 'text' && x.zz", "no such key: zz"),
        ("[1].exists(i, 1 / 0 == i)", "division by zero"),
        ("duration('1h') + duration('2562047h')", "duration overflow"),
    ]);
}

#[test]
fn errors_of_syntax_and_types_are_cel_gos() {
    fails(&[
        (
            "y > 1",
            "ERROR: <input>:1:1: undeclared reference to 'y' (in container '')\n | y > 1\n | ^",
        ),
        (
            "1 + 'a'",
            "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n \
             | 1 + 'a'\n | ..^",
        ),
        (
            "'a'.foo()",
            "ERROR: <input>:1:8: undeclared reference to 'foo' (in container '')\n | 'a'.foo()\n | \
             .......^",
        ),
        (
            "'a'.contains(1)",
            "ERROR: <input>:1:13: found no matching overload for 'contains' applied to \
             'string.(int)'\n | 'a'.contains(1)\n | ............^",
        ),
        (
            "'a'.b",
            "ERROR: <input>:1:4: type 'string' does not support field selection\n | 'a'.b\n | ...^",
        ),
        (
            "1 &&\n  'é' && true",
            "ERROR: <input>:1:1: expected type 'bool' but found 'int'\n | 1 &&\n | ^\nERROR: \
             <input>:2:3: expected type 'bool' but found 'string'\n |   'é' && true\n | ..^",
        ),
        (
            "[1, 'a']",
            "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^",
        ),
        (
            "1 +",
            "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', \
             '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, \
             IDENTIFIER}\n | 1 +\n | ...^",
        ),
        (
            "1 2",
            "ERROR: <input>:1:3: Syntax error: extraneous input '2' expecting <EOF>\n | 1 2\n | ..^",
        ),
        (
            "x.all(1, true)",
            "ERROR: <input>:1:7: argument must be a simple name\n | x.all(1, true)\n | ......^",
        ),
        ("has(x)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(x)\n | ....^"),
        (
            "1.all(i, true)",
            "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension \
             (must be list, map, or dynamic)\n | 1.all(i, true)\n | ^",
        ),
        ("package == 1", "ERROR: <input>:1:1: reserved identifier: package\n | package == 1\n | ^"),
        (
            "duration('1x') > duration('1s')",
            "ERROR: <input>:1:10: invalid duration argument\n | duration('1x') > duration('1s')\n | \
             .........^",
        ),
        (
            "'a'.matches('(')",
            "ERROR: <input>:1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^",
        ),
    ]);
}

#[test]
fn macros_are_cel_gos() {
    holds(&[
        "[1, 2, 3].all(i, i > 0) && [1, 2].exists(i, i == 2) && [1, 2].exists_one(i, i == 2)",
        "[1, 2, 3].map(i, i * 2) == [2, 4, 6] && [1, 2, 3].map(i, i > 1, i * 2) == [4, 6]",
        "[1, 2, 3].filter(i, i > 1) == [2, 3] && {'a': 1}.all(k, k == 'a')",
        "[[1], [2]].map(l, l.map(i, i + 1)) == [[2], [3]]",
        "[1, 2].all(i, v, i + 1 == v) && [1, 2].exists(i, v, v == 2) && {'a': 1}.existsOne(k, v, v == 1)",
        "[1, 2].transformList(i, v, i * v) == [0, 2]",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 2) == {'b': 4}",
        "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
        "has(x.a) && !has(x.zz) && has(x.a.b) && has({'a': 1}.a)",
        "[1, 0].exists(i, 1 / i == 1)",
        "[3, 1, 2].sortBy(i, -i) == [3, 2, 1]",
    ]);
}

#[test]
fn optionals_are_cel_gos() {
    holds(&[
        "x.?zz.orValue(1) == 1 && x.?s.orValue('a') == 'text'",
        "x.?a.?zz.b.hasValue() == false && x.?a.b.value() == [1, 2, 3]",
        "x.a.b[?0].value() == 1 && !x.a.b[?9].hasValue() && {'a': 1}[?'b'].orValue(2) == 2",
        "optional.none().or(optional.of(1)).value() == 1",
        "optional.of(1).optMap(v, v + 1).value() == 2 && !optional.none().optMap(v, v).hasValue()",
        "optional.of(1).optFlatMap(v, optional.of(v + 1)) == optional.of(2)",
        "[?optional.of(1), ?optional.none()] == [1] && {?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}",
        "optional.ofNonZeroValue('') == optional.none() && [1, 2].last().value() == 2",
        "[1, 2].first() == optional.of(1) && optional.unwrap([optional.of(1), optional.none()]) == [1]",
    ]);
    fails(&[("optional.none().value()", "optional.none() dereference")]);
}

#[test]
fn strings_are_cel_gos() {
    holds(&[
        "'hello'.charAt(1) == 'e' && 'hello'.charAt(5) == ''",
        "'hello mellow'.indexOf('ello', 2) == 7 && 'hello mellow'.indexOf('jello') == -1",
        "'hello mellow'.lastIndexOf('ello') == 7 && 'hello mellow'.lastIndexOf('ello', 6) == 1",
        "'hello mellow'.indexOf('') == 0 && 'hello mellow'.lastIndexOf('') == 12",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
        "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'taco'.upperAscii() == 'TACO'",
        "'hello hello'.replace('he', 'we') == 'wello wello' && 'hello hello'.replace('he', 'we', 1) == 'wello hello'",
        "'a b'.split(' ') == ['a', 'b'] && 'abc'.split('') == ['a', 'b', 'c'] && 'a b c'.split(' ', 2) == ['a', 'b c']",
        "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
        "'  x '.trim() == 'x' && strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'%s %d %.2f %x %b %%'.format(['a', 3, 1.5, 255, 5]) == 'a 3 1.50 ff 101 %'",
        "'%s'.format([[1, 2]]) == '[1, 2]' && '%s'.format([{'a': 1}]) == '{\"a\":1}'",
        "'%.3e'.format([1052.032911275]) == '1.052\u{202f}×\u{202f}10⁰³'",
        "'foobar'.matches('^fo+') && 'abc 123'.find('[0-9]+') == '123' && '1 2'.findAll('[0-9]') == ['1', '2']",
        "'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')",
    ]);
    fails(&[
        ("'a'.charAt(2)", "index out of range: 2"),
        ("'a'.substring(2)", "index out of range: 2"),
        ("'a'.substring(1, 0)", "invalid substring range. start: 1, end: 0"),
        ("'%d'.format([])", "index 0 out of range"),
    ]);
}

#[test]
fn lists_sets_and_conversions_are_upstreams() {
    holds(&[
        "[1, 2].isSorted() && [1, 2].sum() == 3 && [1, 2].max() == 2 && [1, 2].min() == 1",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2",
        "[1, 2, 3].slice(1, 3) == [2, 3] && [[1], [2]].flatten() == [1, 2]",
        "[3, 1].sort() == [1, 3] && lists.range(3) == [0, 1, 2] && [1, 2].reverse() == [2, 1]",
        "[1, 1.0, 2].distinct() == [1, 2]".replace("1.0", "1").as_str(),
        "sets.contains([1, 2], [2]) && sets.equivalent([1], [1, 1]) && sets.intersects([1], [1, 2])",
        "int('12') == 12 && int(1.9) == 1 && uint(3) == 3u && double('1.5') == 1.5",
        "string(1.0) == '1' && string(true) == 'true' && string(b'a') == 'a' && bytes('a') == b'a'",
        "bool('true') && string(duration('90s')) == '90s' && duration('1h30m').getMinutes() == 90",
        "timestamp('2023-06-14T02:00:00Z').getFullYear() == 2023",
        "timestamp('2023-06-14T02:00:00Z').getHours('+02:00') == 4",
        "timestamp('2023-06-14T02:00:00Z') + duration('1h') == timestamp('2023-06-14T03:00:00Z')",
        "string(timestamp('2023-06-14T02:00:00Z')) == '2023-06-14T02:00:00Z'",
        "timestamp('2023-06-14T02:00:00Z').getDayOfWeek() == 3 && timestamp(0) < timestamp(1)",
    ]);
    fails(&[
        ("[1].slice(0, 2)", "cannot slice(0, 2), list is length 1"),
        ("int('a' + 'b')", "type conversion error from 'string' to 'int'"),
        ("int(x.d * 1e300)", "integer overflow"),
    ]);
}

#[test]
fn kubernetes_libraries_are_upstreams() {
    holds(&[
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('50M').compareTo(quantity('50000k')) == 0",
        "quantity('1Gi').asInteger() == 1073741824 && sign(quantity('-5')) == -1 && !isQuantity('x')",
        "quantity('50k').add(20) == quantity('50020') && quantity('50k').sub(quantity('20k')) == quantity('30k')",
        "url('https://example.com:80/p%20q?a=1&a=2').getHost() == 'example.com:80'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://h:80/').getPort() == '80'",
        "url('https://h/?k=a&k=b').getQuery() == {'k': ['a', 'b']} && url('/path with').getHost() == ''"
            .replace(" with", "").as_str(),
        "isURL('https://a.b') && !isURL('a b') && url('https://h/a').getEscapedPath() == '/a'",
        "ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('1.2') && ip('127.0.0.1').isLoopback()",
        "ip.isCanonical('::1') && !ip.isCanonical('0:0::1') && string(ip('::1')) == '::1'",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.1.2.3/8').prefixLength() == 8",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).minor() == 2",
        "isSemver('1.0.0-rc.1') && !isSemver('v1.0') && semver('1.0.0-rc.1').compareTo(semver('1.0.0')) == -1",
        "format.dns1123Label().validate('a') == optional.none() && format.named('uuid').hasValue()",
        "format.dns1123Label().validate('A').value().size() > 0",
    ]);
    fails(&[(
        "quantity('x' + 'y').asInteger()",
        "quantities must match the regular expression \
              '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    )]);
}

#[derive(Debug)]
struct OnlyGet;

impl Authorizer for OnlyGet {
    fn decide(&self, check: &Check) -> Decision {
        let allowed = check.verb == "get" && check.resource == "pods" && check.name == "a";
        Decision { allowed, reason: format!("{check:?}"), error: None }
    }
}

#[test]
fn policies_see_lazy_variables_and_the_authorizer() {
    let base = Environment::new()
        .with("object", Type::Dyn)
        .with("authorizer", authorizer_type())
        .with("authorizer.requestResource", resource_check_type());
    let doubled = Program::compile(&base, "object.replicas * 2").expect("compiles");
    let broken = Program::compile(&base, "object.nothing").expect("compiles");
    let fields = [("doubled", doubled.output_type().clone()), ("broken", Type::Dyn)];
    let environment = base.with_lazy("variables", fields);
    let object = json!({ "replicas": 2 });
    let run = |expression: &str| {
        let program = Program::compile(&environment, expression).map_err(|e| e.to_string())?;
        let check = Check { resource: "pods".into(), name: "a".into(), ..Check::default() };
        let activation = Activation::new()
            .with("object", Val::json(&object))
            .with("authorizer", authorizer(Arc::new(OnlyGet)))
            .with("authorizer.requestResource", resource_check(Arc::new(OnlyGet), check))
            .with_lazy("doubled", &doubled)
            .with_lazy("broken", &broken);
        let value = program.evaluate(&activation, &mut CostBudget::new(RUNTIME_BUDGET));
        value.map(|value| value.as_bool()).map_err(|error| error.to_string())
    };
    assert_eq!(run("variables.doubled == 4 && variables.doubled == 4"), Ok(Some(true)));
    assert_eq!(
        run("variables.broken == 4"),
        Err("composited variable \"broken\" fails to evaluate: no such key: nothing".to_owned())
    );
    let undefined = run("variables.zz == 4").expect_err("unknown");
    assert!(undefined.contains("undefined field 'zz'"), "{undefined}");
    let check = "authorizer.group('').resource('pods').name('a').check('get').allowed()";
    assert_eq!(run(check), Ok(Some(true)));
    assert_eq!(run("authorizer.requestResource.check('delete').allowed()"), Ok(Some(false)));
}

#[test]
fn costs_are_bounded_and_counted() {
    let environment = environment();
    let program =
        Program::compile(&environment, "x.l.all(a, x.l.all(b, x.l.all(c, a + b + c > 0)))")
            .expect("compiles");
    let object = json!({ "l": vec![1; 1000] });
    let activation = Activation::new().with("x", Val::json(&object));
    let mut budget = CostBudget::new(RUNTIME_BUDGET);
    let error = program.evaluate(&activation, &mut budget).expect_err("too expensive");
    assert_eq!(error.kind(), EvalErrorKind::CallLimit);
    assert_eq!(error.to_string(), "operation cancelled: actual cost limit exceeded");
    let mut small = CostBudget::new(3);
    let cheap = Program::compile(&environment, "x.l[0] + x.l[1] == 2").expect("compiles");
    let error = cheap.evaluate(&activation, &mut small).expect_err("over budget");
    assert_eq!((error.kind(), small.remaining()), (EvalErrorKind::Budget, None));
}

#[test]
fn nesting_is_bounded() {
    let deep = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            assert_eq!(value_of(&deep(120)), Ok("Int(1)".to_owned()));
            let folds = format!("{}true{}", "[1].all(i, ".repeat(60), ")".repeat(60));
            assert_eq!(value_of(&folds), Ok("Bool(true)".to_owned()));
            for expression in [
                deep(10_000),
                "-".repeat(50_001) + "x",
                "!".repeat(50_001) + "x.a",
                "[".repeat(50_000),
                "1 + ".repeat(5_000) + "1",
                "x".to_owned() + &".a".repeat(5_000),
                "{1:".repeat(9_000),
                "x ? x : ".repeat(9_000) + "x",
            ] {
                let found = value_of(&expression);
                assert!(found.is_err(), "{expression:.40}: {found:?}");
            }
            let many = vec!["true"; 3_000].join(" && ");
            assert_eq!(value_of(&many), Ok("Bool(true)".to_owned()));
        })
        .expect("a thread")
        .join()
        .expect("no overflow");
    let message = value_of(&"a".repeat(100_001)).expect_err("too long");
    assert_eq!(
        message,
        "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000"
    );
}

#[test]
fn json_without_a_schema_is_read_as_it_is() {
    let value: Value = json!({ "u": u64::MAX, "i": -1, "f": 0.5 });
    let program = Program::compile(
        &environment(),
        "type(x.u) == uint && type(x.i) == int && type(x.f) == double",
    )
    .expect("compiles");
    let activation = Activation::new().with("x", Val::json(&value));
    let found = program.evaluate(&activation, &mut CostBudget::new(100)).expect("a value");
    assert_eq!(found.as_bool(), Some(true));
}
