use serde_json::json;

use super::*;

fn data() -> Value {
    json!({
        "name": "c1", "count": 3, "big": 1_234_567, "half": 2.5, "yes": true, "no": false,
        "nothing": null, "list": ["a", "b", "c"], "empty": [],
        "map": {"b": "2", "a": "1", "c-d": 3},
        "builtin": {"cluster": {"name": "c1", "network": {"pods": ["10.0.0.0/16"]}},
            "controlPlane": {"version": "v1.34.2", "replicas": 3}},
    })
}

fn render(template: &str) -> Result<String, String> {
    Template::parse("tpl", template)?.execute(&data())
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(render(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[track_caller]
fn refused(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(render(template).unwrap_err(), *expected, "{template}");
    }
}

#[test]
fn values_print_as_go_prints_them() {
    check(&[
        ("{{ .name }}", "c1"),
        ("{{.count}} {{.big}} {{.half}}", "3 1.234567e+06 2.5"),
        ("{{ .yes }}{{ .no }}", "truefalse"),
        ("{{ .nothing }}|{{ .missing }}|{{ .missing.deeper }}", "<no value>|<no value>|<no value>"),
        ("{{ .list }} {{ .map }}", "[a b c] map[a:1 b:2 c-d:3]"),
        ("{{ .builtin.cluster.network.pods }}", "[10.0.0.0/16]"),
        ("{{ index .builtin.cluster.network.pods 0 }}", "10.0.0.0/16"),
        ("{{ index .map \"c-d\" }}", "3"),
        (
            "{{ 1 }} {{ 0x10 }} {{ 1.50 }} {{ 'a' }} {{ `raw\\n` }} {{ \"\\u00e9\\t\" }}|",
            "1 16 1.5 97 raw\\n é\t|",
        ),
        ("{{ print nil }} {{ print 1 2 \"a\" 3 }}", "<nil> 1 2a3"),
    ]);
}

#[test]
fn spaces_are_trimmed_and_comments_left_out() {
    check(&[
        ("a  {{- 1 -}}  b", "a1b"),
        ("a {{- /* note */ -}} b", "ab"),
        ("a {{/* note */}} b", "a  b"),
        ("x\n{{- if true }}\ny\n{{- end }}\n", "x\ny\n"),
        ("{{ 3 -}}\n\n z", "3z"),
        ("{{ -3 }}{{- -4 }}", "-3-4"),
    ]);
}

#[test]
fn control_structures_and_variables() {
    check(&[
        ("{{ if .no }}a{{ else if .yes }}b{{ else }}c{{ end }}", "b"),
        ("{{ if and .yes (not .no) (eq .name \"c1\") }}a{{ end }}", "a"),
        ("{{ with .missing }}a{{ else with .name }}{{ . }}{{ end }}", "c1"),
        ("{{ range .list }}{{ . }},{{ end }}", "a,b,c,"),
        ("{{ range $i, $e := .list }}{{ $i }}{{ $e }}{{ end }}", "0a1b2c"),
        ("{{ range $k, $v := .map }}{{ $k }}={{ $v }};{{ end }}", "a=1;b=2;c-d=3;"),
        ("{{ range .empty }}x{{ else }}none{{ end }}", "none"),
        ("{{ range .list }}{{ if eq . \"b\" }}{{ continue }}{{ end }}{{ . }}{{ end }}", "ac"),
        ("{{ range .list }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ end }}", "a"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
        ("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .name }}", "<c1>"),
        ("{{ block \"t\" .list }}{{ len . }}{{ end }}", "3"),
        ("{{ (index .list 1) }}{{ $.name }}", "bc1"),
        ("{{ .list | first | upper | printf \"%s-%d\" | len }}", "14"),
    ]);
}

#[test]
fn comparisons_know_types() {
    check(&[
        (
            "{{ eq .name \"a\" \"c1\" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ ge 2.0 2.0 }}",
            "true true true true",
        ),
        ("{{ eq .missing nil }} {{ eq .name nil }}", "true false"),
        ("{{ eq (add 1 2) 3 }}", "true"),
    ]);
    refused(&[
        (
            "{{ eq .count 3 }}",
            "template: tpl:1:3: executing \"tpl\" at <eq .count 3>: error calling eq: incompatible \
             types for comparison",
        ),
        (
            "{{ lt .list 3 }}",
            "template: tpl:1:3: executing \"tpl\" at <lt .list 3>: error calling lt: invalid type \
             for comparison",
        ),
    ]);
}

#[test]
fn parse_errors_are_gos() {
    refused(&[
        ("{{ foo }}", "template: tpl:1: function \"foo\" not defined"),
        ("a\n{{ .a", "template: tpl:2: unclosed action"),
        ("{{ if .a }}", "template: tpl:1: unexpected EOF"),
        ("{{ end }}", "template: tpl:1: unexpected {{end}}"),
        ("{{ }}", "template: tpl:1: missing value for command"),
        ("{{ $x }}", "template: tpl:1: undefined variable \"$x\""),
        ("{{ .a | 3 }}", "template: tpl:1: non executable command in pipeline stage 2"),
        ("{{ \"abc }}", "template: tpl:1: unterminated quoted string"),
        ("{{ (.a }}", "template: tpl:1: unclosed left paren"),
        ("{{ break }}", "template: tpl:1: {{break}} outside {{range}}"),
        ("{{ .a%b }}", "template: tpl:1: bad character U+0025 '%'"),
        ("{{/* a }}", "template: tpl:1: unclosed comment"),
        ("{{ .a.b! }}", "template: tpl:1: bad character U+0021 '!'"),
        ("{{ 1 }} {{ 3x }}", "template: tpl:1: bad number syntax: \"3x\""),
    ]);
}

#[test]
fn execution_errors_name_place_and_node() {
    refused(&[
        (
            "ab\n{{ .name.first }}",
            "template: tpl:2:8: executing \"tpl\" at <.name.first>: can't evaluate field first in \
             type interface {}",
        ),
        (
            "{{ .nothing.first }}",
            "template: tpl:1:11: executing \"tpl\" at <.nothing.first>: nil pointer evaluating \
             interface {}.first",
        ),
        (
            "{{ trunc .count .name }}",
            "template: tpl:1:9: executing \"tpl\" at <.count>: wrong type for value; expected int; \
             got float64",
        ),
        (
            "{{ upper .missing }}",
            "template: tpl:1:9: executing \"tpl\" at <.missing>: invalid value; expected string",
        ),
        (
            "{{ upper }}",
            "template: tpl:1:3: executing \"tpl\" at <upper>: wrong number of args for upper: want \
             1 got 0",
        ),
        (
            "{{ fail \"no way\" }}",
            "template: tpl:1:3: executing \"tpl\" at <fail \"no way\">: error calling fail: no way",
        ),
        (
            "{{ range .name }}{{ end }}",
            "template: tpl:1:9: executing \"tpl\" at <{{range .name}}{{end}}>: range can't iterate \
             over c1",
        ),
        (
            "{{ template \"x\" }}",
            "template: tpl:1:12: executing \"tpl\" at <{{template \"x\"}}>: template \"x\" not \
             defined",
        ),
        (
            "{{ index .list 7 }}",
            "template: tpl:1:3: executing \"tpl\" at <index .list 7>: error calling index: index \
             out of range: 7",
        ),
        (
            "{{ .name 1 }}",
            "template: tpl:1:3: executing \"tpl\" at <.name>: name is not a method but has \
             arguments",
        ),
    ]);
}

#[test]
fn printf_has_gos_verbs() {
    check(&[
        (
            "{{ printf \"%s|%5d|%-4v|%05d|%q|%t\" .name 42 7 42 .name true }}",
            "c1|   42|7   |00042|\"c1\"|true",
        ),
        ("{{ printf \"%v %d\" .count .count }}", "3 %!d(float64=3)"),
        (
            "{{ printf \"%.2f %6.1f|%e|%g\" 3.14159 2.0 1500.0 0.00001 }}",
            "3.14    2.0|1.500000e+03|1e-05",
        ),
        (
            "{{ printf \"%s\" 1 }} {{ printf \"%d\" }} {{ printf \"a\" 1 }}",
            "%!s(int=1) %!d(MISSING) a%!(EXTRA int=1)",
        ),
        ("{{ printf \"%x %X %b %c %U %%\" 255 255 5 65 65 }}", "ff FF 101 A U+0041 %"),
        ("{{ printf \"%v %T\" .list .map }}", "[a b c] map[string]interface {}"),
    ]);
}

#[test]
fn sprig_on_texts() {
    check(&[
        ("{{ \" a \" | trim | upper | quote }}", "\"A\""),
        (
            "{{ trunc 3 \"abcdef\" }} {{ trunc -2 \"abcdef\" }} {{ substr 1 3 \"abcdef\" }}",
            "abc ef bc",
        ),
        (
            "{{ \"a,b,c\" | splitList \",\" | join \"-\" }} {{ (split \",\" \"x,y\")._1 }}",
            "a-b-c y",
        ),
        ("{{ replace \".\" \"-\" \"1.2.3\" }} {{ repeat 3 \"ab\" }}", "1-2-3 ababab"),
        ("{{ indent 2 \"a\\nb\" }}|{{ nindent 1 \"x\" }}", "  a\n  b|\n x"),
        (
            "{{ contains \"b\" \"abc\" }} {{ hasPrefix \"a\" \"abc\" }} {{ hasSuffix \"a\" \"abc\" }}",
            "true true false",
        ),
        (
            "{{ snakecase \"FirstName\" }} {{ kebabcase \"HTTPServer\" }} {{ camelcase \"http_server\" }}",
            "first_name http-server HttpServer",
        ),
        (
            "{{ title \"hello world\" }} {{ untitle \"First Try\" }} {{ initials \"First Try\" }}",
            "Hello World first try FT",
        ),
        (
            "{{ snakecase \"http2xx\" }} {{ snakecase \"Duration2m3s\" }} {{ snakecase \"Bld4Floor3rd\" }}",
            "http_2xx duration_2m3s bld4_floor_3rd",
        ),
        (
            "{{ abbrev 5 \"hello world\" }} {{ nospace \"a b\" }} {{ swapcase \"aB\" }}",
            "he... ab Ab",
        ),
        ("{{ wrap 5 \"aaa bbb ccc\" }}", "aaa\nbbb\nccc"),
        (
            "{{ squote 1 nil \"a\" }} {{ cat \"a\" nil 2 }} {{ plural \"one\" \"many\" 2 }}",
            "'1' 'a' a 2 many",
        ),
        (
            "{{ trimSuffix \"-x\" \"a-x\" }} {{ trimPrefix \"a\" \"ab\" }} {{ trimAll \"$\" \"$5$\" }}",
            "a b 5",
        ),
    ]);
}

#[test]
fn sprig_on_lists_and_dictionaries() {
    check(&[
        (
            "{{ append (list 1 2) 3 }} {{ first .list }} {{ last .list }} {{ rest .list }}",
            "[1 2 3] a c [b c]",
        ),
        (
            "{{ initial .list }} {{ reverse .list }} {{ uniq (list 1 1 2) }} {{ without .list \"a\" }}",
            "[a b] [c b a] [1 2] [b c]",
        ),
        (
            "{{ has \"a\" .list }} {{ slice .list 1 2 }} {{ concat .list (list 1) }}",
            "true [b] [a b c 1]",
        ),
        (
            "{{ chunk 2 (list 1 2 3) }} {{ compact (list 0 1 \"\") }} {{ sortAlpha (list \"b\" \"a\") }}",
            "[[1 2] [3]] [1] [a b]",
        ),
        (
            "{{ $d := dict \"a\" 1 }}{{ $_ := set $d \"b\" 2 }}{{ $d }} {{ keys $d | sortAlpha }}",
            "map[a:1 b:2] [a b]",
        ),
        (
            "{{ get (dict \"a\" 1) \"x\" }}|{{ hasKey .map \"a\" }} {{ pick .map \"a\" }} {{ omit .map \"a\" }}",
            "|true map[a:1] map[b:2 c-d:3]",
        ),
        (
            "{{ merge (dict \"a\" 1) (dict \"a\" 2 \"b\" 3) }} {{ mergeOverwrite (dict \"a\" 1) (dict \"a\" 2) }}",
            "map[a:1 b:3] map[a:2]",
        ),
        (
            "{{ dig \"builtin\" \"cluster\" \"name\" \"none\" . }} {{ dig \"x\" \"y\" \"none\" . }}",
            "c1 none",
        ),
        ("{{ until 3 }} {{ untilStep 0 6 2 }} {{ seq 1 2 5 }}", "[0 1 2] [0 2 4] 1 3 5"),
        ("{{ pluck \"a\" .map (dict \"a\" 5) }} {{ tuple 1 2 | len }}", "[1 5] 2"),
    ]);
    refused(&[(
        "{{ $d := dict }}{{ set $d \"me\" (list $d) }}",
        "template: tpl:1:19: executing \"tpl\" at <set $d \"me\" (list $d)>: error calling set: a \
         dictionary cannot hold itself",
    )]);
}

#[test]
fn sprig_on_numbers_defaults_and_encodings() {
    check(&[
        (
            "{{ add 1 .count \"2\" }} {{ sub 5 2 }} {{ mul 2 3 4 }} {{ div 7 2 }} {{ mod 7 2 }}",
            "6 3 24 3 1",
        ),
        (
            "{{ max 1 5 3 }} {{ min 4 2 }} {{ floor 2.7 }} {{ ceil 2.1 }} {{ round 2.345 2 }}",
            "5 2 2 3 2.35",
        ),
        (
            "{{ addf 1.1 2.2 }} {{ mulf 1.5 2 }} {{ int .big }} {{ int64 \"7\" }} {{ float64 \"1.5\" }}",
            "3.3 3 1234567 7 1.5",
        ),
        (
            "{{ default \"x\" .missing }} {{ .name | default \"x\" }} {{ coalesce nil \"\" 2 }}",
            "x c1 2",
        ),
        (
            "{{ ternary \"a\" \"b\" .yes }} {{ empty .empty }} {{ all 1 0 }} {{ any 1 0 }}",
            "a true false true",
        ),
        (
            "{{ .map | toJson }} {{ fromJson \"[1,2]\" }}",
            "{\"a\":\"1\",\"b\":\"2\",\"c-d\":3} [1 2]",
        ),
        ("{{ toJson \"<a>\" }} {{ toRawJson \"<a>\" }}", "\"\\u003ca\\u003e\" \"<a>\""),
        (
            "{{ b64enc \"abc\" }} {{ b64dec \"YWJj\" }} {{ b32enc \"abc\" }} {{ b32dec \"MFRGG===\" }}",
            "YWJj abc MFRGG=== abc",
        ),
        (
            "{{ sha256sum \"a\" | trunc 8 }} {{ sha1sum \"a\" | trunc 8 }} {{ adler32sum \"a\" }}",
            "ca978112 86f7e437 6422626",
        ),
        (
            "{{ typeOf 1 }} {{ kindOf .list }} {{ typeIs \"string\" .name }} {{ kindIs \"map\" .map }}",
            "int slice true true",
        ),
        (
            "{{ base \"/a/b.txt\" }} {{ dir \"/a/b\" }} {{ ext \"x.y\" }} {{ clean \"a/../b\" }}",
            "b.txt /a .y b",
        ),
        ("{{ (urlParse \"https://u@h:80/p?q=1#f\").hostname }}", "h"),
        ("{{ duration 95 }} {{ duration \"95\" }} {{ durationRound \"2h10m\" }}", "0s 1m35s 2h"),
        (
            "{{ regexMatch \"^v1\" .builtin.controlPlane.version }} {{ regexFind \"[0-9]+\" \"a12b\" }}",
            "true 12",
        ),
        (
            "{{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\" }} {{ regexSplit \"z+\" \"pizza\" -1 }}",
            "-W-xxW- [pi a]",
        ),
    ]);
}

#[test]
fn sprig_on_versions() {
    check(&[
        ("{{ semverCompare \">= v1.24.0\" .builtin.controlPlane.version }}", "true"),
        ("{{ semverCompare \"< 1.34\" .builtin.controlPlane.version }}", "false"),
        ("{{ (semver .builtin.controlPlane.version).Minor }}", "34"),
        (
            "{{ semver \"v1.2.3-rc.1+x\" }} {{ (semver \"v1.2.3-rc.1\").Prerelease }}",
            "1.2.3-rc.1+x rc.1",
        ),
        ("{{ eq (semver \"1.2.3\").Major 1 }}", "true"),
    ]);
    for (constraint, version, expected) in [
        ("~1.2.3", "1.2.9", true),
        ("~1.2.3", "1.3.0", false),
        ("^1.2.3", "1.9.0", true),
        ("^0.2.3", "0.3.0", false),
        ("1.2.x", "1.2.7", true),
        (">1.2", "1.2.7", false),
        ("<=1.2", "1.2.7", true),
        ("1.2 - 1.4.5", "1.4.5", true),
        (">= 1.0, < 2.0 || >= 3", "3.1.0", true),
        ("!= 1.0.0", "1.0.0", false),
        ("!= 1.0.0", "1.1.0-rc.1", false),
        (">= 1.34.0-0, < 1.36.0", "v1.35.0-rc.1", true),
        (">= 1.34.0, < 1.36.0", "v1.35.0-rc.1", false),
        ("~0.0.0", "7.0.0", true),
        ("<=*", "1.0.0", false),
        (">*", "0.1.0", true),
        (">= 1.0", "2.0.0-rc.1", false),
        (">= 1.0-0", "2.0.0-rc.1", true),
        ("*", "7.0.0", true),
    ] {
        let template = format!("{{{{ semverCompare {constraint:?} {version:?} }}}}");
        assert_eq!(render(&template), Ok(expected.to_string()), "{template}");
    }
    assert!(render("{{ semver \"x\" }}").unwrap_err().ends_with("invalid semantic version"));
    assert!(
        render("{{ semverCompare \"abc\" \"1\" }}")
            .unwrap_err()
            .ends_with("improper constraint: abc")
    );
}

#[test]
fn what_would_grow_without_end_is_refused() {
    for template in [
        "{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}",
        "{{ repeat 1000000000 \"a\" }}",
        "{{ until 1000000000 }}",
        "{{ indent 1000000000 \"a\" }}",
        "{{ $s := repeat 1000000 \"a\" }}{{ range 100 }}{{ $s }}{{ end }}",
        "{{ $s := repeat 1000 \"a\" }}{{ replace \"\" (repeat 10000 \"b\") $s }}",
        "{{ range 1000000 }}{{ range 1000000 }}{{ end }}{{ end }}",
        "{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}",
        "{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ $l }}",
        "{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ deepCopy $l }}",
        "{{ $l := list 1 }}{{ range 60 }}{{ $l = concat $l $l }}{{ end }}",
        "{{ range 1000000 }}{{ range 1000000 }}{{ break }}{{ end }}{{ end }}",
        "{{ range 250000 }}{{ $x := printf \"%1000000d\" 1 }}{{ end }}",
        "{{ $s := repeat 1000000 \"a\" }}{{ range 250000 }}{{ $x := sha512sum $s }}{{ end }}",
        "{{ range 250000 }}{{ $x := regexMatch \"(a{1,100}){1,100}\" \"b\" }}{{ end }}",
        "{{ $l := until 60000 }}{{ range 250000 }}{{ $x := rest $l }}{{ end }}",
        "{{ $d := dict }}{{ range 300 }}{{ $d = dict \"a\" $d }}{{ end }}{{ set (dict) \"a\" $d }}",
    ] {
        assert!(render(template).is_err(), "{template}");
    }
    let deep = format!("{}1{}", "{{ if true }}".repeat(5000), "{{ end }}".repeat(5000));
    assert!(render(&deep).is_err());
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(render(&parens).is_err());
}

#[test]
fn templates_without_sprig_have_gos_own_slice() {
    let render = |text: &str| {
        let options = Options { has_sprig: false, requires_keys: true };
        Template::parse_with("t", text, options)?.execute(&json!({"name": "cluster-with-a-name"}))
    };
    assert_eq!(render("{{ slice .name 0 7 }}-{{ slice .name 15 }}").as_deref(), Ok("cluster-name"));
    let error = |text: &str| render(text).unwrap_err();
    assert!(error("{{ slice .name 5 3 }}").ends_with("invalid slice index: 5 > 3"));
    assert!(error("{{ slice .name 99 }}").ends_with("index out of range: 99"));
    assert!(error("{{ slice .name 1 2 3 }}").ends_with("cannot 3-index slice a string"));
}

#[test]
fn what_is_nested_deeply_goes_without_recursion() {
    for template in [
        "{{ $l := list }}{{ range 200000 }}{{ $l = list $l }}{{ end }}done",
        "{{ $d := dict }}{{ range 100000 }}{{ $d = dict \"a\" $d }}{{ end }}done",
    ] {
        assert_eq!(render(template).as_deref(), Ok("done"), "{template}");
    }
}

#[test]
fn digits_without_end_are_zeros() {
    let zeros = render("{{ printf \"%.70000f\" 1.5 }}").unwrap();
    assert_eq!((zeros.len(), &zeros[..4]), (70_002, "1.50"));
    let zeros = render("{{ printf \"%.70000e\" 1.5 }}").unwrap();
    assert_eq!((zeros.len(), &zeros[70_000..]), (70_006, "00e+00"));
    check(&[("{{ printf \"%.70000g %.70000v\" 1.5 0.25 }}", "1.5 0.25")]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("{{".to_owned()),
            Just("}}".to_owned()),
            Just("{{- ".to_owned()),
            Just(" -}}".to_owned()),
            prop::sample::select(vec![
                "if",
                "else",
                "end",
                "range",
                "with",
                "define",
                "template",
                "block",
                "break",
                "nil",
                "true",
                ".",
                ".name",
                ".list",
                ".map",
                "$",
                "$x",
                ":=",
                "=",
                "|",
                "(",
                ")",
                "\"a\"",
                "`b`",
                "1",
                "-2.5",
                "'c'",
                "printf",
                "index",
                "eq",
                "len",
                "list",
                "dict",
                "trunc",
                "splitList",
                "semver",
                "toJson",
                "regexFind",
                "substr",
                "slice",
                ",",
                "/*",
                "*/",
            ])
            .prop_map(|word| format!(" {word} ")),
            "\\PC{0,4}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_panics(pieces in prop::collection::vec(piece(), 0..24)) {
            let _ = render(&pieces.concat());
        }

        #[test]
        fn no_call_panics(
            name in prop::sample::select(functions::names()),
            args in prop::collection::vec(prop::sample::select(vec![
                "1", "-3", "2.5", "\"\"", "\"ab c\"", "\"1.2\"", "true", "nil", ".list", ".map",
                ".empty", ".nothing", "(list 1 \"x\")", "\"%.70000g %x\"", "(dict \"a\" 1)", "99999999999", "-9223372036854775808", "\"[\"",
            ]), 0..5),
        ) {
            let _ = render(&format!("{{{{ {name} {} }}}}", args.join(" ")));
        }

        #[test]
        fn plain_text_stays(text in "[^{]{0,40}") {
            prop_assert_eq!(render(&text), Ok(text));
        }
    }
}
