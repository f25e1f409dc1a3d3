//! The members of a cluster's etcd as they tell of themselves: who leads, versions, sizes, alarms.

use ratatui::text::{Line, Span};

use super::Scene;
use crate::client::{EtcdReport, MemberReport, ObjectKey};
use crate::tui::fetch::{Fetched, Want};
use crate::tui::text::printable;
use crate::tui::theme::Role;

/// Title and one line a member.
pub(super) fn lines(scene: &Scene, cluster: &ObjectKey) -> Vec<Line<'static>> {
    let dim = |text: String| Line::styled(printable(&text), scene.style(Role::Dim));
    let (title, lines) = match scene.fetched {
        Some(Fetched { want: Want::ControlPlane(key), etcd: Some(said), .. }) if key == cluster => {
            match said {
                Ok(report) => (title(report), member_lines(scene, report)),
                Err(why) => (String::new(), vec![dim(format!("cannot be asked: {why}"))]),
            }
        }
        _ => (String::new(), vec![dim("asking …".to_owned())]),
    };
    let title = Line::from(vec![
        Span::styled("ETCD", scene.style(Role::Header)),
        Span::raw(printable(&title)),
    ]);
    [title].into_iter().chain(lines).collect()
}

fn title(report: &EtcdReport) -> String {
    match report.leader() {
        Some(leader) => format!("  led by {}", leader.name),
        None => "  no leader".to_owned(),
    }
}

fn member_lines(scene: &Scene, report: &EtcdReport) -> Vec<Line<'static>> {
    let longest = report.members.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    let line = |member: &MemberReport| {
        let (sign, word, role) = match member {
            MemberReport { silent: Some(_), .. } => ("✖", "silent", Role::Bad),
            MemberReport { is_leader: true, .. } => ("●", "leader", Role::Good),
            MemberReport { is_learner: true, .. } => ("◔", "learner", Role::Busy),
            _ => ("○", "follower", Role::Text),
        };
        let about = match &member.silent {
            Some(why) => why.clone(),
            None => format!("{:<9}{}", member.version, size(member.db_bytes)),
        };
        Line::from(vec![
            Span::styled(format!("{sign} "), scene.style(role)),
            Span::raw(format!("{:<longest$}  ", printable(&member.name))),
            Span::styled(format!("{word:<10}"), scene.style(role)),
            Span::raw(printable(&about)),
            Span::styled(format!("  {}", member.alarms.join(" ")), scene.style(Role::Bad)),
        ])
    };
    report.members.iter().map(line).collect()
}

fn size(bytes: i64) -> String {
    const MIB: f64 = (1u32 << 20) as f64;
    format!("{:.1} MiB", bytes as f64 / MIB)
}
