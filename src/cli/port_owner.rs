//! Which process listens on a port, as far as this user may see: Linux's `/proc`.

use std::path::Path;

/// State `LISTEN` of `/proc/net/tcp`. (linux: include/net/tcp_states.h)
const LISTEN: &str = "0A";

/// Process id and name, `None` where it cannot be seen.
pub(super) fn owner(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| listening(&text, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut processes = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    });
    let (pid, path) = processes.find(|(_, path)| has_open(&path.join("fd"), &links))?;
    let name = std::fs::read_to_string(path.join("comm")).ok()?;
    Some((pid, name.trim().to_owned()))
}

fn has_open(descriptors: &Path, links: &[String]) -> bool {
    let entries = std::fs::read_dir(descriptors).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| links.iter().any(|link| link == target)))
}

/// Inodes of the sockets that listen on a port.
fn listening(text: &str, port: u16) -> Vec<String> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state) = (fields.get(1)?, fields.get(3)?);
        let local = u16::from_str_radix(address.rsplit(':').next()?, 16).ok()?;
        (local == port && *state == LISTEN).then(|| fields.get(9).map(|it| (*it).to_owned()))?
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_port_is_found() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1D13 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n   \
            1: 0100007F:1D13 0100007F:0001 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0\n";
        assert_eq!(listening(text, 7443), ["4711"]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        if cfg!(target_os = "linux") {
            let found = owner(listener.local_addr().unwrap().port());
            assert_eq!(found.map(|(pid, _)| pid), Some(std::process::id()));
        }
    }
}
