//! `assets/conformance.md`: which of Cluster API's conditions and reasons the reconcilers can set.
//!
//! `conditions.table` has the condition types and reasons that v1.14's API packages name, one
//! line a type: family, kind (after a slash who sets them on it), types, `=`, reasons; and why
//! some are never set (with `!` at its end: the text is there, but for another type). A reason
//! counts as set if its text and its type's text are string literals in the sources of the
//! reconcilers that the kind has. The page is made from both, so that a new reason in the sources,
//! or one that is gone, fails here until the page is written again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use super::{assert_none, is_test_file, root, sources, without_tests};

const TABLE: &str = include_str!("conditions.table");

/// Where a kind's conditions are computed, as prefixes of paths below `src/`. What several kinds
/// share counts for all of them.
fn places(kind: &str) -> &'static [&'static str] {
    match kind {
        "Cluster" => &["providers/core/cluster/", "providers/core/topology/"],
        "ClusterClass" => &["providers/core/clusterclass/"],
        "Machine" => &["providers/core/machine/"],
        "Machine/MachineHealthCheck" | "MachineHealthCheck" => {
            &["providers/core/machinehealthcheck/"]
        }
        "Machine/MachineSet" | "MachineSet" => &["providers/core/machineset/"],
        "Machine/KubeadmControlPlane" | "KubeadmControlPlane" => &["providers/controlplane/"],
        "MachineDeployment" => &["providers/core/machinedeployment/"],
        "MachinePool" => &["providers/core/machinepool/"],
        "KubeadmConfig" => &["providers/bootstrap/"],
        "ClusterResourceSet" => &["providers/addons/"],
        "ExtensionConfig" => &["providers/core/extensionconfig/"],
        "DevCluster" | "DevMachine" | "DevMachinePool" => &["providers/infrastructure/"],
        "IPAddressClaim" => &[],
        other => panic!("no place for {other}"),
    }
}

/// Sources that all reconcilers share.
fn is_shared(path: &str) -> bool {
    let is_core_file = path.strip_prefix("providers/core/").is_some_and(|it| !it.contains('/'));
    is_core_file || path.starts_with("contract/")
}

/// One condition type of one kind with its reasons.
struct Row {
    family: &'static str,
    kind: &'static str,
    type_: &'static str,
    reasons: Vec<&'static str>,
}

/// Why some reasons are never set: `never FAMILY KIND TYPE REASON: why`, `*` for any.
struct Never {
    pattern: [&'static str; 4],
    why: &'static str,
}

impl Never {
    fn covers(&self, row: &Row, reason: &str) -> bool {
        let words = [row.family, row.kind, row.type_, reason];
        self.pattern.iter().zip(words).all(|(pattern, word)| *pattern == "*" || *pattern == word)
    }
}

fn table() -> (Vec<Row>, Vec<Never>) {
    let (mut rows, mut never) = (Vec::new(), Vec::new());
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("never ") {
            let (pattern, why) = rest.split_once(": ").expect("a reason why");
            let words: Vec<&str> = pattern.split(' ').collect();
            let pattern = words.try_into().expect("family, kind, type, reason");
            never.push(Never { pattern, why });
            continue;
        }
        let (names, reasons) = line.split_once(" = ").expect("a row has reasons");
        let [family, kind, types] =
            names.split(' ').collect::<Vec<_>>().try_into().expect("family, kind, types");
        for type_ in types.split('+') {
            let reasons = reasons.split(' ').collect();
            rows.push(Row { family, kind, type_, reasons });
        }
    }
    (rows, never)
}

/// Path below `src/` -> its string literals, tests left out.
fn literals() -> BTreeMap<String, BTreeSet<String>> {
    let code = sources().into_iter().filter(|source| !is_test_file(&source.path));
    let literals = code.map(|source| {
        let path = source.path.trim_start_matches("src/").to_owned();
        let pieces = without_tests(&source.text).lines().flat_map(|line| {
            // Every second piece between quotes is a literal; reasons have no escapes in them.
            line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        });
        (path, pieces.collect())
    });
    literals.collect()
}

fn is_set(literals: &BTreeMap<String, BTreeSet<String>>, row: &Row, reason: &str) -> bool {
    let places = places(row.kind);
    let own = |path: &str| places.iter().any(|place| path.starts_with(place));
    let has = |text: &str| {
        let mut near = literals.iter().filter(|(path, _)| own(path) || is_shared(path));
        near.any(|(_, found)| found.contains(text))
    };
    literals.keys().any(|path| own(path)) && has(row.type_) && has(reason)
}

fn page(rows: &[Row], never: &[Never]) -> (String, Vec<String>) {
    let literals = literals();
    let (mut body, mut offences) = (String::new(), Vec::new());
    let (mut set_count, mut all, mut heading) = (0, 0, "");
    for row in rows {
        if row.kind != heading {
            heading = row.kind;
            let title = match heading.split_once('/') {
                Some((kind, setter)) => format!("{kind}, set by {setter}"),
                None => heading.to_owned(),
            };
            let _ = write!(
                body,
                "\n## {title}\n\n| family | type | set | never set |\n|---|---|---|---|\n"
            );
        }
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        for reason in &row.reasons {
            all += 1;
            let why = never.iter().find(|it| it.covers(row, reason)).map(|it| it.why);
            let name = format!("{} {} {} {reason}", row.family, row.kind, row.type_);
            match (is_set(&literals, row, reason), why) {
                (true, None) => set.push((*reason).to_owned()),
                (false, Some(why)) => unset.push(format!("{reason} ({why})")),
                // Texts that another condition of the same reconciler has, too.
                (true, Some(why)) if why.ends_with('!') => {
                    unset.push(format!("{reason} ({})", why.trim_end_matches('!')));
                }
                (true, Some(_)) => offences.push(format!("{name} is in the sources")),
                (false, None) => offences.push(format!("{name} is not in the sources")),
            }
        }
        set_count += set.len();
        let (set, unset) = (set.join(", "), unset.join("; "));
        let _ = writeln!(body, "| {} | {} | {set} | {unset} |", row.family, row.type_);
    }
    let head = format!(
        "# Conditions\n\nEvery condition type and reason that the API packages of Cluster API v1.14 name, by kind, and\n\
         whether capim's reconcilers have it: {set_count} of {all}. Made by `tests/tidy/conditions.rs` from\n\
         the sources of the reconcilers; `CAPIM_WRITE=1 cargo test --test tidy conditions` writes it again.\n\
         Types without reasons (v1beta1 conditions that are `True`) are left out.\n"
    );
    (head + &body, offences)
}

#[test]
fn conditions_are_those_of_the_page() {
    let (rows, never) = table();
    let (page, offences) = page(&rows, &never);
    assert_none("conditions.table is wrong about", offences);
    let unused = never.iter().filter(|it| {
        !rows.iter().any(|row| row.reasons.iter().any(|reason| it.covers(row, reason)))
    });
    assert_none("says why for nothing", unused.map(|it| it.pattern.join(" ")).collect());
    let path = root().join("assets/conformance.md");
    if std::env::var_os("CAPIM_WRITE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "assets/conformance.md is out of date: CAPIM_WRITE=1 writes it");
}
