use super::flags::{self, Flags};

fn parse(line: &str) -> Result<Flags, String> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Flags::parse(&arguments)
}

#[test]
fn values_follow_in_both_of_pflags_ways() {
    let flags = parse("--secure-port=0 --bind-address 127.0.0.1 --profiling -v=2").unwrap();
    assert_eq!(flags.last("secure-port"), Some("0"));
    assert_eq!(flags.last("bind-address"), Some("127.0.0.1"));
    assert_eq!(flags.ignored(), ["profiling", "v"]);
    let flags = parse("--secure-port=1 --secure-port=2 -- kubectl get --raw /").unwrap();
    assert_eq!(flags.last("secure-port"), Some("2"));
    assert_eq!(flags.command, ["kubectl", "get", "--raw", "/"]);
    assert!(parse("--allow-privileged=true --etcd-servers=a --etcd-servers=b").is_ok());
}

#[test]
fn lists_are_split_at_commas_and_collected() {
    let flags = parse("--authorization-mode=Node,RBAC --authorization-mode=AlwaysAllow").unwrap();
    assert_eq!(flags.list("authorization-mode"), ["Node", "RBAC", "AlwaysAllow"]);
}

#[test]
fn what_kube_apiserver_does_not_know_is_refused() {
    let refused = |line: &str| parse(line).err().unwrap();
    assert_eq!(parse("--advertise-address=1.2.3.4").unwrap().ignored(), [""; 0]);
    assert_eq!(refused("--insecure-port=0"), "unknown flag: --insecure-port");
    assert_eq!(refused("--secure-port"), "flag needs an argument: --secure-port");
    assert_eq!(refused("help me"), "\"kube-apiserver\" does not take any arguments, got [help me]");
    let message = refused("--profiling=maybe");
    assert!(message.ends_with("parsing \"maybe\": invalid syntax"), "{message}");
}

#[test]
fn help_lists_flags_at_the_beginnings_of_lines() {
    // envtest looks for `(?m)^\s*--NAME\b` to learn what a kube-apiserver can do.
    let help = flags::help();
    let has = |name: &str| {
        let wanted = format!("--{name}");
        help.lines().any(|line| line.split_whitespace().next() == Some(&wanted))
    };
    for name in ["secure-port", "client-ca-file", "etcd-servers", "service-cluster-ip-range"] {
        assert!(has(name), "{name}");
    }
    assert!(!has("insecure-port"));
}
