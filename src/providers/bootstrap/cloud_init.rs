//! cloud-init user data as upstream renders it, to the last blank.
//! (CAPI v1.14: bootstrap/kubeadm/pkg/cloudinit)

use std::fmt::Write as _;

use serde_json::Value;

use crate::api::bootstrap::KubeadmConfigSpec;
use crate::machinery::kubeadm::is_empty;

const SENTINEL: &str = "echo success > /run/cluster-api/bootstrap-success.complete";

const PLACEHOLDER: &str = "-   path: /run/cluster-api/placeholder
    owner: root:root
    permissions: '0640'
    content: \"This placeholder file is used to create the /run/cluster-api sub directory in a way \
                           that is compatible with both Linux and Windows (mkdir -p \
                           /run/cluster-api does not work with Windows)\"";

/// A file that cloud-init writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    /// Where.
    pub(super) path: String,
    /// `user:group`, may be empty.
    pub(super) owner: String,
    /// Octal mode, may be empty.
    pub(super) permissions: String,
    /// `base64`, `gzip`, `gzip+base64` or empty.
    pub(super) encoding: String,
    /// Whether to append; `None` leaves the line out.
    pub(super) append: Option<bool>,
    /// Content.
    pub(super) content: String,
}

/// What kubeadm shall do on the machine, with its documents.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// First control plane machine.
    Init {
        /// ClusterConfiguration document.
        cluster: String,
        /// InitConfiguration document.
        init: String,
    },
    /// Further control plane machine, with its JoinConfiguration document.
    JoinControlPlane(String),
    /// Worker, with its JoinConfiguration document.
    JoinWorker(String),
}

/// Renders the user data. `files` are certificates first, then the spec's own files; `users` have
/// their passwords resolved.
pub(super) fn render(
    spec: &KubeadmConfigSpec,
    action: &Action,
    files: &[File],
    users: &[Value],
) -> String {
    let mut out = String::with_capacity(8 * 1024);
    out.push_str("## template: jinja\n#cloud-config\n\nwrite_files:");
    for file in files {
        write_file(&mut out, file);
    }
    out.push('\n');
    kubeadm_file(&mut out, action);
    out.push('\n');
    out.push_str(PLACEHOLDER);
    if !spec.boot_commands.is_empty() {
        out.push_str("\nbootcmd:");
        commands(&mut out, &spec.boot_commands);
    }
    out.push_str("\nruncmd:");
    commands(&mut out, &spec.pre_kubeadm_commands);
    let verbosity = spec.verbosity.map(|level| format!("--v {level}")).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = match action {
        Action::Init { .. } => write!(
            out,
            "\n  - 'kubeadm init --config /run/kubeadm/kubeadm.yaml {verbosity} && {SENTINEL}'"
        ),
        Action::JoinControlPlane(_) | Action::JoinWorker(_) => write!(
            out,
            "\n  - kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml {verbosity} && \
             {SENTINEL}"
        ),
    };
    commands(&mut out, &spec.post_kubeadm_commands);
    ntp(&mut out, spec.ntp.as_ref().unwrap_or(&Value::Null));
    write_users(&mut out, users);
    disk_setup(&mut out, spec.disk_setup.as_ref().unwrap_or(&Value::Null));
    mounts(&mut out, &spec.mounts);
    out.push('\n');
    out
}

fn write_file(out: &mut String, file: &File) {
    let _ = write!(out, "\n-   path: {}\n    ", file.path);
    if !file.encoding.is_empty() {
        let _ = write!(out, "encoding: \"{}\"\n    ", file.encoding);
    }
    if !file.owner.is_empty() {
        let _ = write!(out, "owner: {}\n    ", file.owner);
    }
    if !file.permissions.is_empty() {
        let _ = write!(out, "permissions: '{}'\n    ", file.permissions);
    }
    if let Some(append) = file.append {
        let _ = write!(out, "append: {append}\n    ");
    }
    out.push_str("content: |\n");
    indented(out, &file.content);
}

fn kubeadm_file(out: &mut String, action: &Action) {
    let name = match action {
        Action::Init { .. } => "kubeadm.yaml",
        Action::JoinControlPlane(_) | Action::JoinWorker(_) => "kubeadm-join-config.yaml",
    };
    let _ = write!(
        out,
        "-   path: /run/kubeadm/{name}\n    owner: root:root\n    permissions: '0640'\n    \
         content: |\n"
    );
    match action {
        Action::Init { cluster, init } => {
            out.push_str("      ---\n");
            indented(out, cluster);
            out.push_str("\n      ---\n");
            indented(out, init);
        }
        // Only the worker's template starts the document with dashes.
        Action::JoinControlPlane(join) => indented(out, join),
        Action::JoinWorker(join) => {
            out.push_str("      ---\n");
            indented(out, join);
        }
    }
}

/// Six spaces before every line, the empty last one included.
fn indented(out: &mut String, text: &str) {
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str("      ");
        out.push_str(line);
    }
}

fn commands(out: &mut String, commands: &[String]) {
    for command in commands {
        out.push_str("\n  - ");
        go_quoted(out, command);
    }
}

/// Go's `%q`.
fn go_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_control() && (c as u32) < 0x80 => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A scalar as Go's text templates print it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn ntp(out: &mut String, ntp: &Value) {
    if ntp.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    out.push_str("\nntp:\n  ");
    if let Some(enabled) = ntp["enabled"].as_bool() {
        let _ = write!(out, "enabled: {enabled}\n  ");
    }
    out.push_str("servers:");
    for server in strings(&ntp["servers"]) {
        let _ = write!(out, "\n    - {server}");
    }
}

fn write_users(out: &mut String, users: &[Value]) {
    if users.is_empty() {
        return;
    }
    out.push_str("\nusers:");
    for user in users {
        let _ = write!(out, "\n  - name: {}", user["name"].as_str().unwrap_or_default());
        for (field, key) in [
            ("passwd", "passwd"),
            ("gecos", "gecos"),
            ("groups", "groups"),
            ("homeDir", "homedir"),
            ("inactive", "inactive"),
            ("lockPassword", "lock_passwd"),
            ("shell", "shell"),
            ("primaryGroup", "primary_group"),
            ("sudo", "sudo"),
        ] {
            // Booleans are pointers upstream: present is enough.
            if user[field].is_boolean() || !is_empty(&user[field]) {
                let _ = write!(out, "\n    {key}: {}", plain(&user[field]));
            }
        }
        if !is_empty(&user["sshAuthorizedKeys"]) {
            out.push_str("\n    ssh_authorized_keys:");
            for key in strings(&user["sshAuthorizedKeys"]) {
                let _ = write!(out, "\n      - {key}");
            }
        }
    }
}

fn disk_setup(out: &mut String, setup: &Value) {
    if setup.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    out.push_str("\ndisk_setup:");
    for partition in setup["partitions"].as_array().into_iter().flatten() {
        let _ = write!(out, "\n  {}:", partition["device"].as_str().unwrap_or_default());
        if let Some(table) = partition["tableType"].as_str().filter(|text| !text.is_empty()) {
            let _ = write!(out, "\n    table_type: {table}");
        }
        match partition["diskLayout"].as_array().filter(|layout| !layout.is_empty()) {
            Some(layout) => {
                out.push_str("\n    layout:");
                for part in layout {
                    disk_part(out, part);
                }
            }
            None => {
                let _ = write!(out, "\n    layout: {}", plain(&partition["layout"]));
            }
        }
        if let Some(overwrite) = partition["overwrite"].as_bool() {
            let _ = write!(out, "\n    overwrite: {overwrite}");
        }
    }
    out.push_str("\nfs_setup:");
    for filesystem in setup["filesystems"].as_array().into_iter().flatten() {
        write_filesystem(out, filesystem);
    }
}

fn disk_part(out: &mut String, part: &Value) {
    let percentage = part["percentage"].as_i64().unwrap_or_default();
    let _ = match part["partitionType"].as_str().unwrap_or_default() {
        "" => write!(out, "\n      - {percentage}"),
        kind => {
            let code = match kind {
                "Linux" => "83",
                "LinuxSwap" => "82",
                "LinuxRAID" => "fd",
                "LVM" => "8e",
                "Fat32" => "0c",
                "NTFS" => "07",
                "LinuxExtended" => "85",
                raw => raw,
            };
            write!(out, "\n      - [{percentage}, {code}]")
        }
    };
}

fn write_filesystem(out: &mut String, filesystem: &Value) {
    let text = |field: &str| filesystem[field].as_str().unwrap_or_default();
    let _ = write!(
        out,
        "\n  - label: {}\n    filesystem: {}\n    device: {}",
        text("label"),
        text("filesystem"),
        text("device")
    );
    if !text("partition").is_empty() {
        let _ = write!(out, "\n    partition: {}", text("partition"));
    }
    if let Some(overwrite) = filesystem["overwrite"].as_bool() {
        let _ = write!(out, "\n    overwrite: {overwrite}");
    }
    if !text("replaceFS").is_empty() {
        let _ = write!(out, "\n    replace_fs: {}", text("replaceFS"));
    }
    if !is_empty(&filesystem["extraOpts"]) {
        out.push_str("\n    extra_opts:");
        for option in strings(&filesystem["extraOpts"]) {
            let _ = write!(out, "\n      - {option}");
        }
    }
}

fn mounts(out: &mut String, mounts: &[Vec<String>]) {
    if mounts.is_empty() {
        return;
    }
    out.push_str("\nmounts:");
    for mount in mounts {
        out.push_str("\n  - ");
        for point in mount {
            let _ = write!(out, "- {point}\n    ");
        }
    }
}
