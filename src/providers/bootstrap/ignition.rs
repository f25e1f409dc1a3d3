//! Ignition configuration (2.3.0) as upstream makes it out of Container Linux Config.
//! (CAPI v1.14: bootstrap/kubeadm/pkg/ignition)
//!
//! Members stand in the order in which Go's types marshal them. `append` of files and what the
//! rules of the webhooks refuse (boot commands, gzip, partition tables) has no place in this format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::clc;
use super::cloud_init::{Action, File};
use crate::api::bootstrap::KubeadmConfigSpec;
use crate::machinery::kubeadm::is_empty;

const DOCUMENT: &str = "/etc/kubeadm.yml";

const UNIT: &str = "[Unit]
Description=kubeadm
# Run only once. After successful run, this file is moved to /tmp/.
ConditionPathExists=/etc/kubeadm.yml
After=network.target
[Service]
# To not restart the unit when it exits, as it is expected.
Type=oneshot
ExecStart=/etc/kubeadm.sh
[Install]
WantedBy=multi-user.target
";

const SSHD: &str = "# Use most defaults for sshd configuration.
Subsystem sftp internal-sftp
ClientAliveInterval 180
UseDNS no
UsePAM yes
PrintLastLog no # handled by PAM
PrintMotd no # handled by PAM

";

const NTP_TAIL: &str = "
# Warning: Using default NTP settings will leave your NTP
# server accessible to all hosts on the Internet.

# If you want to deny all machines (including your own)
# from accessing the NTP server, uncomment:
#restrict default ignore

# Default configuration:
# - Allow only time queries, at a limited rate, sending KoD when in excess.
# - Allow all local queries (IPv4, IPv6)
restrict default nomodify nopeer noquery notrap limited kod
restrict 127.0.0.1
restrict [::1]
";

/// Renders the user data. `files` are certificates first, then the spec's own files; `users` have
/// their passwords resolved.
///
/// # Errors
/// What cannot be expressed, or what is wrong with `spec.ignition`.
pub(super) fn render(
    spec: &KubeadmConfigSpec,
    action: &Action,
    files: &[File],
    users: &[Value],
) -> Result<String, String> {
    let mut config = config(spec, action, files, users)?;
    let ignition = spec.ignition.as_ref().unwrap_or(&Value::Null);
    let additional = &ignition["containerLinuxConfig"];
    if let Some(text) = additional["additionalConfig"].as_str().filter(|text| !text.is_empty()) {
        let is_strict = additional["strict"] == true;
        let more = clc::convert(text, is_strict).map_err(|error| {
            format!("building Ignition config: converting additional CLC to Ignition: {error}")
        })?;
        append(&mut config, more);
    }
    Ok(config.to_string())
}

fn config(
    spec: &KubeadmConfigSpec,
    action: &Action,
    files: &[File],
    users: &[Value],
) -> Result<Value, String> {
    let mut passwd = Map::new();
    if !users.is_empty() {
        passwd.insert("users".to_owned(), users.iter().map(user).collect());
    }
    let ntp = spec.ntp.as_ref().unwrap_or(&Value::Null);
    let setup = spec.disk_setup.as_ref().unwrap_or(&Value::Null);
    let mut units = vec![unit("kubeadm.service", UNIT)];
    if ntp["enabled"] == true {
        units.push(json!({"enabled": true, "name": "ntpd.service"}));
    }
    for mount in &spec.mounts {
        units.push(mount_unit(mount, setup)?);
    }
    let mut storage = Map::new();
    if !is_empty(&setup["partitions"]) {
        storage.insert("disks".to_owned(), items(&setup["partitions"]).map(disk).collect());
    }
    storage.insert("files".to_owned(), all_files(spec, action, files, users)?.into());
    if !is_empty(&setup["filesystems"]) {
        let filesystems = items(&setup["filesystems"]).map(filesystem).collect();
        storage.insert("filesystems".to_owned(), filesystems);
    }
    Ok(json!({
        "ignition": {"config": {}, "security": {"tls": {}}, "timeouts": {}, "version": "2.3.0"},
        "networkd": {},
        "passwd": passwd,
        "storage": storage,
        "systemd": {"units": units},
    }))
}

fn all_files(
    spec: &KubeadmConfigSpec,
    action: &Action,
    files: &[File],
    users: &[Value],
) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for user in users.iter().filter(|user| !is_empty(&user["sudo"])) {
        let (name, sudo) = (text(user, "name"), text(user, "sudo"));
        all.push(plain(&format!("/etc/sudoers.d/{name}"), 0o600, &format!("{name} {sudo}")));
    }
    let with_password = users.iter().filter(|user| user["lockPassword"] == false);
    let with_password: Vec<&str> = with_password.map(|user| text(user, "name")).collect();
    if !with_password.is_empty() {
        let names = with_password.join(",");
        let content = format!("{SSHD}Match User {names}\n  PasswordAuthentication yes");
        all.push(plain("/etc/ssh/sshd_config", 0o600, &content));
    }
    for file in files {
        all.push(own_file(file)?);
    }
    let (command, document) = match action {
        Action::Init { cluster, init } => ("init", format!("{cluster}\n---\n{init}")),
        Action::JoinControlPlane(join) | Action::JoinWorker(join) => ("join", join.clone()),
    };
    all.push(plain("/etc/kubeadm.sh", 0o700, &script(spec, command)));
    all.push(plain(DOCUMENT, 0o600, &format!("---\n{document}")));
    let ntp = spec.ntp.as_ref().unwrap_or(&Value::Null);
    if ntp["enabled"] == true && !is_empty(&ntp["servers"]) {
        let servers = items(&ntp["servers"]).filter_map(Value::as_str);
        let servers: String = servers.map(|server| format!("server {server}\n")).collect();
        all.push(plain("/etc/ntp.conf", 0o644, &format!("# Common pool\n{servers}{NTP_TAIL}")));
    }
    Ok(all)
}

/// What the unit runs: the spec's commands around kubeadm's.
fn script(spec: &KubeadmConfigSpec, command: &str) -> String {
    let verbosity = spec.verbosity.map(|level| format!("--v {level}")).unwrap_or_default();
    let lines = |commands: &[String]| -> String {
        commands.iter().map(|command| format!("\n{command}")).collect()
    };
    format!(
        "#!/bin/bash\nset -e\n{}\n\nkubeadm {command} --config {DOCUMENT} {verbosity}\nmkdir -p \
         /run/cluster-api && echo success > /run/cluster-api/bootstrap-success.complete\nmv \
         {DOCUMENT} /tmp/\n{}",
        lines(&spec.pre_kubeadm_commands),
        lines(&spec.post_kubeadm_commands),
    )
}

fn user(user: &Value) -> Value {
    let mut out = Map::new();
    let mut copy = |from: &str, to: &str| {
        if !is_empty(&user[from]) {
            out.insert(to.to_owned(), user[from].clone());
        }
    };
    copy("gecos", "gecos");
    copy("groups", "groups");
    copy("homeDir", "homeDir");
    copy("name", "name");
    copy("passwd", "passwordHash");
    copy("primaryGroup", "primaryGroup");
    copy("sshAuthorizedKeys", "sshAuthorizedKeys");
    copy("shell", "shell");
    if let Some(groups) = out.get_mut("groups") {
        *groups = groups.as_str().unwrap_or_default().split(", ").collect();
    }
    Value::Object(out)
}

fn unit(name: &str, contents: &str) -> Value {
    json!({"contents": contents, "enabled": true, "name": name})
}

fn mount_unit(mount: &[String], setup: &Value) -> Result<Value, String> {
    let [label, point, options @ ..] = mount else {
        return Err(format!(
            "rendering CLC configuration: failed to render template: a mount needs a label and a \
             mount point: {mount:?}"
        ));
    };
    let of_label = items(&setup["filesystems"]).find(|filesystem| filesystem["label"] == **label);
    let disk = of_label.map(|filesystem| text(filesystem, "device")).unwrap_or_default();
    let options = options.join(",");
    let name = point.replace('/', "-");
    let name = name.strip_prefix('-').unwrap_or(&name);
    let contents = format!(
        "[Unit]\nDescription = Mount {label}\n\n[Mount]\nWhat={disk}\nWhere={point}\nOptions=\
         {options}\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    Ok(unit(&format!("{name}.mount"), &contents))
}

fn disk(partition: &Value) -> Value {
    let mut out = Map::new();
    out.insert("device".to_owned(), text(partition, "device").into());
    if partition["layout"] == true {
        out.insert("partitions".to_owned(), json!([{}]));
    }
    if partition["overwrite"] == true {
        out.insert("wipeTable".to_owned(), true.into());
    }
    Value::Object(out)
}

fn filesystem(filesystem: &Value) -> Value {
    let label = text(filesystem, "label");
    let mut mount = Map::new();
    mount.insert("device".to_owned(), text(filesystem, "device").into());
    mount.insert("format".to_owned(), text(filesystem, "filesystem").into());
    mount.insert("label".to_owned(), label.into());
    if !is_empty(&filesystem["extraOpts"]) {
        mount.insert("options".to_owned(), filesystem["extraOpts"].clone());
    }
    if filesystem["overwrite"] == true {
        mount.insert("wipeFilesystem".to_owned(), true.into());
    }
    json!({"mount": mount, "name": label})
}

/// A file of the spec, or a certificate.
fn own_file(file: &File) -> Result<Value, String> {
    let content = if file.encoding == "base64" {
        let compact: String = file.content.split_whitespace().collect();
        STANDARD.decode(compact).map_err(|_| {
            format!(
                "building Ignition config: converting generated CLC to Ignition: file {} is not \
                 valid base64",
                file.path
            )
        })?
    } else {
        clipped(&file.content).into_bytes()
    };
    let mode = match file.permissions.as_str() {
        "" => 0o644,
        text => clc::mode(text).ok_or_else(|| {
            format!(
                "building Ignition config: converting generated CLC to Ignition: file {} has \
                 permissions {text:?}, which is no number",
                file.path
            )
        })?,
    };
    let (user, group) = file.owner.split_once(':').unwrap_or((&file.owner, ""));
    let owner = |name: &str| (!name.is_empty()).then(|| json!({"name": name.trim()}));
    Ok(file_value(&file.path, mode, &content, (owner(user), owner(group))))
}

/// A file of ours.
fn plain(path: &str, mode: i64, content: &str) -> Value {
    file_value(path, mode, clipped(content).as_bytes(), (None, None))
}

/// A file as Go marshals it; `owner` is user and group.
pub(super) fn file_value(
    path: &str,
    mode: i64,
    content: &[u8],
    (user, group): (Option<Value>, Option<Value>),
) -> Value {
    let mut out = Map::new();
    out.insert("filesystem".to_owned(), "root".into());
    if let Some(group) = group {
        out.insert("group".to_owned(), group);
    }
    out.insert("path".to_owned(), path.into());
    if let Some(user) = user {
        out.insert("user".to_owned(), user);
    }
    let contents = json!({"source": data_url(content), "verification": {}});
    out.insert("contents".to_owned(), contents);
    out.insert("mode".to_owned(), mode.into());
    Value::Object(out)
}

/// A block of text as YAML's `|` keeps it: with one line feed at its end.
fn clipped(text: &str) -> String {
    let trimmed = text.trim_end_matches('\n');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}\n") }
}

/// `data:,` with everything escaped that RFC 2396 reserves.
pub(super) fn data_url(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut url = String::with_capacity(content.len() * 2 + 6);
    url.push_str("data:,");
    for byte in content {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Adds one configuration to another: lists behind lists, other values replace.
fn append(config: &mut Value, more: Value) {
    match (config, more) {
        (Value::Object(config), Value::Object(more)) => {
            for (name, value) in more {
                match config.get_mut(&name) {
                    Some(held) => append(held, value),
                    None => {
                        config.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(config), Value::Array(more)) => config.extend(more),
        (config, more) => *config = more,
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(spec: Value, files: &[File]) -> Value {
        let spec: KubeadmConfigSpec = serde_json::from_value(spec).unwrap();
        let users = spec.users.clone();
        let action = Action::JoinWorker("foo".to_owned());
        serde_json::from_str(&render(&spec, &action, files, &users).unwrap()).unwrap()
    }

    fn source(config: &Value, path: &str) -> String {
        let files = config["storage"]["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == path).unwrap();
        file["contents"]["source"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_script_runs_the_specs_commands_around_kubeadm() {
        let cat = "cat <<EOF > /etc/modules-load.d/containerd.conf\noverlay\nbr_netfilter\nEOF\n";
        let spec = json!({
            "preKubeadmCommands": ["pre-command", "another-pre-command", cat],
            "postKubeadmCommands": ["post-kubeadm-command", "another-post-kubeamd-command", cat],
        });
        let script = source(&rendered(spec, &[]), "/etc/kubeadm.sh");
        let cat = "cat%20%3C%3CEOF%20%3E%20%2Fetc%2Fmodules-load.d%2Fcontainerd.conf%0Aoverlay\
                   %0Abr_netfilter%0AEOF%0A";
        assert_eq!(
            script,
            format!(
                "data:,%23!%2Fbin%2Fbash%0Aset%20-e%0A%0Apre-command%0Aanother-pre-command%0A{cat}\
                 %0A%0Akubeadm%20join%20--config%20%2Fetc%2Fkubeadm.yml%20%0Amkdir%20-p%20%2Frun\
                 %2Fcluster-api%20%26%26%20echo%20success%20%3E%20%2Frun%2Fcluster-api%2Fbootstrap-\
                 success.complete%0Amv%20%2Fetc%2Fkubeadm.yml%20%2Ftmp%2F%0A%0Apost-kubeadm-command\
                 %0Aanother-post-kubeamd-command%0A{cat}"
            )
        );
    }

    #[test]
    fn every_part_of_the_spec_has_its_place() {
        let config = rendered(
            json!({
                "ntp": {"enabled": true, "servers": ["foo.bar", "baz"]},
                "users": [{"name": "foo", "gecos": "Foo B. Bar", "groups": "foo, bar",
                    "homeDir": "/home/foo", "shell": "/bin/false", "passwd": "$6$j",
                    "primaryGroup": "foo", "sudo": "ALL=(ALL) NOPASSWD:ALL",
                    "sshAuthorizedKeys": ["foo", "bar"]}],
                "diskSetup": {
                    "partitions": [{"device": "/dev/lun0", "layout": true, "overwrite": true,
                        "tableType": "gpt"}],
                    "filesystems": [{"device": "/dev/lun0", "filesystem": "ext4",
                        "label": "test_disk", "extraOpts": ["-F"], "overwrite": true}]},
                "mounts": [["test_disk", "/var/lib/testdir", "foo"]],
            }),
            &[File {
                path: "/etc/testfile.yaml".to_owned(),
                encoding: "base64".to_owned(),
                content: "Zm9vCg==".to_owned(),
                permissions: "0600".to_owned(),
                owner: "nobody:nobody".to_owned(),
                append: None,
            }],
        );
        assert_eq!(
            config["passwd"]["users"],
            json!([{"gecos": "Foo B. Bar", "groups": ["foo", "bar"], "homeDir": "/home/foo",
                "name": "foo", "passwordHash": "$6$j", "primaryGroup": "foo",
                "sshAuthorizedKeys": ["foo", "bar"], "shell": "/bin/false"}])
        );
        let storage = &config["storage"];
        assert_eq!(
            storage["disks"],
            json!([{"device": "/dev/lun0", "partitions": [{}], "wipeTable": true}])
        );
        assert_eq!(
            storage["filesystems"],
            json!([{"mount": {"device": "/dev/lun0", "format": "ext4", "label": "test_disk",
                "options": ["-F"], "wipeFilesystem": true}, "name": "test_disk"}])
        );
        assert_eq!(
            storage["files"][0],
            json!({"filesystem": "root", "path": "/etc/sudoers.d/foo", "mode": 384, "contents": {
                "source": "data:,foo%20ALL%3D(ALL)%20NOPASSWD%3AALL%0A", "verification": {}}})
        );
        assert_eq!(
            storage["files"][1],
            json!({"filesystem": "root", "path": "/etc/testfile.yaml", "mode": 384,
                "user": {"name": "nobody"}, "group": {"name": "nobody"},
                "contents": {"source": "data:,foo%0A", "verification": {}}})
        );
        assert_eq!(source(&config, "/etc/kubeadm.yml"), "data:,---%0Afoo%0A");
        let ntp = source(&config, "/etc/ntp.conf");
        assert!(
            ntp.starts_with("data:,%23%20Common%20pool%0Aserver%20foo.bar%0Aserver%20baz%0A%0A%23")
        );
        assert!(ntp.ends_with("restrict%20127.0.0.1%0Arestrict%20%5B%3A%3A1%5D%0A"));
        let units = config["systemd"]["units"].as_array().unwrap();
        assert_eq!(units[0]["contents"], UNIT);
        assert_eq!(units[1], json!({"enabled": true, "name": "ntpd.service"}));
        assert_eq!(
            units[2],
            json!({"contents": "[Unit]\nDescription = Mount test_disk\n\n[Mount]\nWhat=/dev/lun0\n\
                Where=/var/lib/testdir\nOptions=foo\n\n[Install]\nWantedBy=multi-user.target\n",
                "enabled": true, "name": "var-lib-testdir.mount"})
        );
    }

    #[test]
    fn users_with_passwords_may_log_in_with_them() {
        let users = json!([{"name": "foo", "lockPassword": false},
            {"name": "bar", "lockPassword": false}, {"name": "baz", "lockPassword": true}]);
        let sshd = source(&rendered(json!({"users": users}), &[]), "/etc/ssh/sshd_config");
        assert!(
            sshd.ends_with("Match%20User%20foo%2Cbar%0A%20%20PasswordAuthentication%20yes%0A"),
            "{sshd}"
        );
    }

    #[test]
    fn owners_are_user_and_group() {
        let owned = |owner: &str| {
            let file = File { path: "/f".to_owned(), owner: owner.to_owned(), ..File::default() };
            let value = own_file(&file).unwrap();
            (value["user"]["name"].clone(), value["group"]["name"].clone())
        };
        let nobody = || json!("nobody");
        assert_eq!(owned("nobody:nobody"), (nobody(), nobody()));
        assert_eq!(owned("nobody"), (nobody(), Value::Null));
        assert_eq!(owned("nobody:"), (nobody(), Value::Null));
        assert_eq!(owned(":nobody"), (Value::Null, nobody()));
    }

    #[test]
    fn the_skeleton_is_that_of_ignition_2_3() {
        let spec = KubeadmConfigSpec::default();
        let action = Action::JoinWorker("foo".to_owned());
        let text = render(&spec, &action, &[], &[]).unwrap();
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["ignition"]["version"], "2.3.0");
        assert_eq!(config["passwd"], json!({}));
        assert_eq!(config["networkd"], json!({}));
    }

    #[test]
    fn additional_configuration_is_appended() {
        let config = rendered(
            json!({"ignition": {"containerLinuxConfig": {"additionalConfig":
                "systemd:\n  units:\n  - name: kubeadm.service\n    dropins:\n    - name: 10.conf\n      contents: |\n        [Unit]\n"}}}),
            &[],
        );
        let units = config["systemd"]["units"].as_array().unwrap();
        assert_eq!(
            units[1],
            json!({"name": "kubeadm.service",
                "dropins": [{"name": "10.conf", "contents": "[Unit]\n"}]})
        );
    }
}
