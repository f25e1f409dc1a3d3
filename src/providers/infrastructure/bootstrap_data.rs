//! What a machine reads out of its bootstrap data. Pure.
//! (CAPI v1.14: bootstrap/kubeadm/internal/cloudinit)

use serde_json::Value;

/// Where cloud-init puts kubeadm's documents.
const KUBEADM_FILE: &str = "path: /run/kubeadm/kubeadm.yaml";

/// kubeadm's ClusterConfiguration in the user data of a machine that runs `kubeadm init`. `None`
/// for other machines and for data of another form.
pub(super) fn cluster_configuration(user_data: &str) -> Option<String> {
    if user_data.starts_with('{') {
        return in_ignition(user_data);
    }
    let mut lines = user_data.lines();
    // Entries begin at the left edge, their contents do not.
    lines.find(|line| line.strip_prefix('-').is_some_and(|rest| rest.trim() == KUBEADM_FILE))?;
    let mut lines = lines.take_while(|line| line.starts_with(' ') || line.is_empty());
    let head = lines.find(|line| line.trim_start().starts_with("content: |"))?;
    let indent = head.len() - head.trim_start().len();
    let content = lines
        .take_while(|line| line.trim().is_empty() || line.len() - line.trim_start().len() > indent);
    let content: Vec<&str> = content.collect();
    let depth = content.iter().find(|line| !line.trim().is_empty())?;
    let depth = depth.len() - depth.trim_start().len();
    let content: Vec<&str> = content.iter().map(|line| line.get(depth..).unwrap_or("")).collect();
    document_of(&content)
}

/// The same in Ignition data.
fn in_ignition(user_data: &str) -> Option<String> {
    let config: Value = serde_json::from_str(user_data).ok()?;
    let mut files = config["storage"]["files"].as_array()?.iter();
    let file = files.find(|file| file["path"] == "/etc/kubeadm.yml")?;
    let source = file["contents"]["source"].as_str()?.strip_prefix("data:,")?;
    let mut bytes = Vec::with_capacity(source.len());
    let mut rest = source.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    document_of(&text.lines().collect::<Vec<&str>>())
}

/// The ClusterConfiguration among kubeadm's documents.
fn document_of(content: &[&str]) -> Option<String> {
    let mut documents = content.split(|line| line.trim_end() == "---");
    let document = documents.find(|document| document.contains(&"kind: ClusterConfiguration"))?;
    let mut text = document.join("\n");
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = "## template: jinja\n#cloud-config\n\nwrite_files:\n-   path: /a\n    \
        content: |\n      kind: ClusterConfiguration\n-   path: /run/kubeadm/kubeadm.yaml\n    \
        owner: root:root\n    permissions: '0640'\n    content: |\n      ---\n      apiServer:\n        \
        certSANs:\n        - localhost\n      apiVersion: kubeadm.k8s.io/v1beta4\n      \
        kind: ClusterConfiguration\n      \n      ---\n      kind: InitConfiguration\n\
        -   path: /run/cluster-api/placeholder\n    content: \"\"\nruncmd:\n  - 'kubeadm init'\n";

    #[test]
    fn the_first_machine_brings_a_configuration() {
        let expected = "apiServer:\n  certSANs:\n  - localhost\n\
            apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n\n";
        assert_eq!(cluster_configuration(INIT).as_deref(), Some(expected));
    }

    #[test]
    fn ignition_brings_it_too() {
        let text = "---%0Aa%3A%20b%0Akind%3A%20ClusterConfiguration%0A%0A---%0Akind%3A%20Init%0A";
        let data = serde_json::json!({"storage": {"files": [
            {"path": "/etc/kubeadm.yml", "contents": {"source": format!("data:,{text}")}}]}});
        assert_eq!(
            cluster_configuration(&data.to_string()).as_deref(),
            Some("a: b\nkind: ClusterConfiguration\n\n")
        );
    }

    #[test]
    fn other_data_bring_none() {
        let join =
            INIT.replace("/run/kubeadm/kubeadm.yaml", "/run/kubeadm/kubeadm-join-config.yaml");
        let quoted = "write_files:\n-   path: /a\n    content: |\n      path: \
            /run/kubeadm/kubeadm.yaml\n      content: |\n        kind: ClusterConfiguration\n";
        let bare = "-   path: /run/kubeadm/kubeadm.yaml\n    owner: root:root\n-   path: /a\n    \
            content: |\n      kind: ClusterConfiguration\n";
        for data in [join.as_str(), "", "{\"ignition\": {}}", KUBEADM_FILE, quoted, bare] {
            assert_eq!(cluster_configuration(data), None, "{data}");
        }
    }
}
