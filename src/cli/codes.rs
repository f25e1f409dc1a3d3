//! The catalogue of error codes: what each means, what leads to it, and what to do next.
//!
//! A code stays what it is: scripts match on it. `docs/commands.md` lists the codes in brief.

/// One code.
#[derive(Debug)]
pub(super) struct Code {
    /// `E012`.
    pub(super) code: &'static str,
    /// What failed, on one line.
    pub(super) title: &'static str,
    /// What leads to it.
    pub(super) causes: &'static [&'static str],
    /// What to do; commands can be pasted.
    pub(super) next: &'static [&'static str],
}

/// The code of a name, in capitals or not.
pub(super) fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|it| it.code.eq_ignore_ascii_case(name))
}

const fn code(
    code: &'static str,
    title: &'static str,
    causes: &'static [&'static str],
    next: &'static [&'static str],
) -> Code {
    Code { code, title, causes, next }
}

/// All codes, in order.
pub(super) const CODES: &[Code] = &[
    code(
        "E001",
        "something without a code of its own failed",
        &["the message says what; it is the server's or the system's own"],
        &["capim bug-report    if it is capim's fault"],
    ),
    code(
        "E002",
        "the arguments do not go together, or a question cannot be asked",
        &[
            "flags that exclude each other, or a name that fits several objects",
            "a command asks before it deletes, but stdin is no terminal",
        ],
        &["COMMAND --help      with examples", "-y                  answers the question"],
    ),
    code(
        "E003",
        "a dashboard needs a terminal",
        &["stdin or stdout is a file or a pipe"],
        &["capim up --headless", "capim get clusters -A -w"],
    ),
    code(
        "E004",
        "the command after -- could not be started",
        &["it is not on the PATH", "it is not executable"],
        &["command -v CMD"],
    ),
    code(
        "E012",
        "a port is taken",
        &[
            "another program, or a playground of another user, listens there",
            "the port was given, or is the instance's own: exported kubeconfigs name it",
        ],
        &[
            "capim up --api-port 0        any free port",
            "capim up --forget-ports      7443 or the next free one",
        ],
    ),
    code(
        "E013",
        "an address, file or directory cannot be used",
        &["no permission, no space, or a read-only file system", "an address of another machine"],
        &["capim config path            where files are", "export XDG_STATE_HOME=DIR    elsewhere"],
    ),
    code(
        "E014",
        "the instance runs already, with other flags, or is just starting",
        &["a name belongs to one playground at a time"],
        &[
            "capim -i NAME up             another one beside it",
            "capim down                   stops it; its objects are lost",
        ],
    ),
    code(
        "E015",
        "the playground ended while it started",
        &["it was killed, or crashed; what it said last is shown"],
        &["capim logs", "capim up --headless          shows the start"],
    ),
    code(
        "E016",
        "the playground does not end",
        &["its process is stopped or hangs", "it belongs to another user"],
        &["kill -9 PID                  the message has the number", "capim down"],
    ),
    code(
        "E021",
        "no playground is running, or no management API answers",
        &["capim up was not run, or its process is gone", "-i names another instance"],
        &["capim up -d", "capim ls                     which instances run"],
    ),
    code(
        "E022",
        "a kubeconfig cannot be used",
        &[
            "it does not exist or is no YAML",
            "it has no such context, or names a file that is gone",
        ],
        &["kubectl config view --minify", "kubectl config get-contexts"],
    ),
    code(
        "E023",
        "a watch ended",
        &["the server was stopped, or the connection broke and did not come back"],
        &["capim status"],
    ),
    code(
        "E024",
        "the playground runs but does not answer",
        &["its kubeconfig was changed or replaced", "its process hangs"],
        &["capim logs", "capim restart                its objects are lost"],
    ),
    code(
        "E025",
        "a provider has lost its Lease",
        &["another process of the same provider took it over", "it could not be renewed in time"],
        &["start it again: it waits until it may lead"],
    ),
    code(
        "E026",
        "there is no such example",
        &["the name is misspelt"],
        &["capim examples               lists them"],
    ),
    code(
        "E030",
        "something that was named does not exist",
        &["a name is misspelt, or in another namespace", "it was deleted meanwhile"],
        &["capim get clusters -A"],
    ),
    code(
        "E031",
        "something of that name exists",
        &["an earlier run made it"],
        &["capim delete cluster NAME    or another name"],
    ),
    code(
        "E032",
        "the server has no such kind",
        &["it is misspelt", "its CustomResourceDefinition is not installed"],
        &["kubectl api-resources"],
    ),
    code(
        "E033",
        "an object would not follow a change",
        &[
            "it is paused, or its cluster is",
            "its spec.rollout.after lies ahead: somebody planned a rollout",
        ],
        &["capim resume CLUSTER", "capim resume KIND/NAME"],
    ),
    code(
        "E034",
        "a management cluster cannot be reached",
        &["it is down", "it is behind a tunnel or a VPN"],
        &["kubectl cluster-info"],
    ),
    code(
        "E035",
        "what answers is no Kubernetes API",
        &["the kubeconfig names a wrong port, or a proxy answers"],
        &["kubectl config view --minify"],
    ),
    code(
        "E036",
        "the credentials are refused or have expired",
        &["a kubeconfig of an earlier server", "its client certificate or token has expired"],
        &["kubectl auth whoami", "capim kubeconfig             for a playground"],
    ),
    code(
        "E037",
        "the server lacks kinds of Cluster API",
        &["Cluster API, or the provider that is meant, is not installed there"],
        &["clusterctl init", "capim up                     a playground that has it"],
    ),
    code(
        "E038",
        "the server's Cluster API is too old",
        &["it does not serve v1beta2, which came with Cluster API 1.11"],
        &["clusterctl upgrade plan"],
    ),
    code(
        "E039",
        "clusters may not be read",
        &["the role of this user allows single namespaces only, or none"],
        &["-n NAMESPACE                 if one may be read", "kubectl auth can-i --list"],
    ),
    code(
        "E041",
        "the time to wait is over",
        &["something is slow, paused or broken; the message says what is missing"],
        &["capim why cluster/NAME", "--timeout 10m                waits longer"],
    ),
    code(
        "E050",
        "a kubeconfig is locked",
        &["another program is writing it", "a program crashed and left FILE.lock"],
        &["rm FILE.lock                 if nothing writes it", "leave out --merge"],
    ),
    code(
        "E051",
        "a kubeconfig has another entry of that name",
        &["somebody else's cluster, context or user has the name of the instance"],
        &["kubectl config delete-context NAME", "leave out --merge"],
    ),
    code(
        "E052",
        "a kubeconfig cannot be read or written",
        &["it is no YAML mapping", "no permission"],
        &["leave out --merge: export KUBECONFIG instead"],
    ),
    code(
        "E061",
        "the Service of a webhook runs nowhere",
        &["nothing runs Pods here, so that a webhook is reachable where you run it, or not at all"],
        &["capim up --webhook NAMESPACE/NAME=https://127.0.0.1:9443"],
    ),
    code(
        "E062",
        "the certificate of webhooks cannot be written",
        &["--webhook-cert-dir cannot be made or written to"],
        &["--webhook-cert-dir DIR       a directory that you may write to"],
    ),
    code(
        "E070",
        "the limit of open files is too low",
        &["every cluster has a port of its own"],
        &["ulimit -Hn 8192", "LimitNOFILE=8192             in a systemd unit"],
    ),
    code(
        "E080",
        "a manifest was refused",
        &[
            "it is no YAML, or no object",
            "its schema or a rule of Cluster API refuses a field; --> names the place",
        ],
        &["kubectl explain KIND.FIELD", "nothing of the files was applied"],
    ),
    code(
        "E090",
        "a file of settings has an unknown key",
        &["it is misspelt, or at a wrong place"],
        &["capim config schema          what a file may say"],
    ),
    code(
        "E091",
        "a setting has a value that makes no sense",
        &["its flag would refuse it, too"],
        &["capim config schema          what a file may say"],
    ),
    code(
        "E092",
        "settings cannot be read",
        &["--config names no file", "it is no YAML"],
        &["capim config path            where settings are looked for"],
    ),
    code(
        "E093",
        "keys.yaml cannot be used",
        &["it names an unknown command or key, or one key twice"],
        &["docs/dashboard.md            what it may say"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_say_what_to_do() {
        let codes: Vec<&str> = CODES.iter().map(|it| it.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        for it in CODES {
            assert!(!it.title.is_empty() && !it.causes.is_empty() && !it.next.is_empty(), "{it:?}");
            assert!(!it.title.ends_with('.') && it.title.len() <= 72, "{}", it.title);
        }
        assert_eq!(find("e012").map(|it| it.code), Some("E012"));
        assert!(find("E999").is_none());
    }
}
