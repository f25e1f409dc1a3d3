//! Membership, leadership, quorum and alarms, as clients see them.

use super::*;

async fn check_members_over_tls(algorithm: KeyAlgorithm) {
    let fixture = fixture(algorithm, &["a", "b", "c"]);
    let mut client = fixture.client("b").await;
    let list: MembersResponse = client
        .call("Cluster/MemberList", MemberListRequest { linearizable: true })
        .await
        .expect("a list");
    let header = list.header.expect("a header");
    assert_eq!(header.member_id, fixture.id("b"));
    assert_ne!(header.cluster_id, 0);
    assert_eq!(header.revision, 0, "answers about membership have no revision");
    assert!(list.members.is_sorted_by_key(|member| member.id));
    let own = list.members.iter().find(|member| member.id == fixture.id("b")).expect("b");
    assert_eq!(own.name, "b");
    assert_eq!(own.peer_urls, ["https://172.18.0.3:2380"]);
    assert_eq!(own.client_urls, ["https://172.18.0.3:2379"]);
    assert!(!own.is_learner);

    let status = client.status().await;
    assert_eq!(status.version, "3.6.6");
    assert_eq!(status.leader, fixture.id("a"));
    assert_eq!(status.raft_term, header.raft_term);
    assert_eq!(status.errors, [""; 0]);
    assert!(status.raft_index > 0 && status.db_size > 0 && !status.is_learner);
    assert_eq!(status.header.expect("a header").revision, 1);
}

#[tokio::test(start_paused = true)]
async fn members_answer_over_tls_with_an_ecdsa_authority() {
    check_members_over_tls(KeyAlgorithm::EcdsaP256).await;
}

#[tokio::test(start_paused = true)]
async fn members_answer_over_tls_with_an_rsa_authority() {
    check_members_over_tls(KeyAlgorithm::Rsa2048).await;
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_to_a_voter_at_the_leaders_behest() {
    let fixture = three();
    let (mut leader, mut other) = (fixture.client("a").await, fixture.client("b").await);
    let target = MoveLeaderRequest { target_id: fixture.id("b") };
    assert_eq!(
        other.refused("Maintenance/MoveLeader", target.clone()).await,
        error(Code::FailedPrecondition, "etcdserver: not leader")
    );
    assert_eq!(
        leader.refused("Maintenance/MoveLeader", MoveLeaderRequest { target_id: 7 }).await,
        error(Code::FailedPrecondition, "etcdserver: bad leader transferee")
    );
    let term = leader.status().await.raft_term;
    let before = fixture.changes.load(Ordering::SeqCst);
    let moved: MoveLeaderResponse =
        leader.call("Maintenance/MoveLeader", target).await.expect("moved");
    assert_eq!(moved, MoveLeaderResponse::default());
    assert_eq!(leader.status().await.leader, fixture.id("b"));
    assert_eq!(other.status().await.raft_term, term + 1);
    assert_eq!(fixture.changes.load(Ordering::SeqCst), before + 1, "the change is told");

    fixture.etcd.stop("c");
    let down = MoveLeaderRequest { target_id: fixture.id("c") };
    let start = fixture.clock.elapsed();
    assert_eq!(
        other.refused("Maintenance/MoveLeader", down).await,
        error(Code::Unknown, "etcdserver: request timed out, leader transfer took too long")
    );
    assert!(fixture.clock.elapsed() - start >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_removed_member_stops_and_leadership_passes_on() {
    let fixture = three();
    let (first, second) = (fixture.id("a"), fixture.id("b"));
    let (mut leader, mut other) = (fixture.client("a").await, fixture.client("b").await);
    assert_eq!(
        other.refused("Cluster/MemberRemove", MemberRemoveRequest { id: 7 }).await,
        error(Code::NotFound, "etcdserver: member not found")
    );
    let left: MembersResponse =
        other.call("Cluster/MemberRemove", MemberRemoveRequest { id: first }).await.expect("gone");
    assert_eq!(left.members.len(), 2);
    assert_eq!(fixture.leader(), second);
    assert!(fixture.open("a", 2379).is_err(), "its process has ended");
    let status = leader.call::<_, StatusResponse>("Maintenance/Status", StatusRequest {}).await;
    assert!(status.is_err(), "and took its connections with it");
    let last = MemberRemoveRequest { id: fixture.id("c") };
    let left: MembersResponse =
        other.call("Cluster/MemberRemove", last).await.expect("one of two may go");
    assert_eq!(left.members.len(), 1);
    assert_eq!(
        other.refused("Cluster/MemberRemove", MemberRemoveRequest { id: second }).await,
        error(
            Code::Unknown,
            "etcdserver: re-configuration failed due to not enough started members"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn members_that_would_cost_the_quorum_stay() {
    let fixture = three();
    fixture.etcd.stop("c");
    let mut client = fixture.client("a").await;
    assert_eq!(
        client.refused("Cluster/MemberRemove", MemberRemoveRequest { id: fixture.id("b") }).await,
        error(Code::Unavailable, "etcdserver: unhealthy cluster")
    );
    let urls = vec!["https://172.18.0.9:2380".to_owned()];
    assert_eq!(
        client
            .refused("Cluster/MemberAdd", MemberAddRequest { peer_urls: urls, is_learner: false })
            .await,
        error(Code::Unavailable, "etcdserver: unhealthy cluster")
    );
    let down = MemberRemoveRequest { id: fixture.id("c") };
    let left: MembersResponse =
        client.call("Cluster/MemberRemove", down).await.expect("one that is down may go");
    assert_eq!(left.members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn learners_join_catch_up_and_are_promoted() {
    let fixture = three();
    let mut client = fixture.client("b").await;
    let url = "https://172.18.0.9:2380";
    let add = |urls: &[&str], is_learner| MemberAddRequest {
        peer_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        is_learner,
    };
    for bad in [&[][..], &["172.18.0.9:2380"], &["https://172.18.0.9"], &["ftp://x:1"]] {
        assert_eq!(
            client.refused("Cluster/MemberAdd", add(bad, true)).await,
            error(Code::InvalidArgument, "etcdserver: given member URLs are invalid"),
            "{bad:?}"
        );
    }
    assert_eq!(
        client.refused("Cluster/MemberAdd", add(&["https://172.18.0.2:2380"], true)).await,
        error(Code::FailedPrecondition, "etcdserver: Peer URLs already exists")
    );
    let added: MemberAddResponse =
        client.call("Cluster/MemberAdd", add(&[url], true)).await.expect("a learner");
    let learner = added.member.expect("a member");
    assert!(learner.is_learner && learner.name.is_empty() && learner.client_urls.is_empty());
    assert_eq!(added.members.len(), 4);
    assert_eq!(
        client.refused("Cluster/MemberAdd", add(&["https://172.18.0.10:2380"], true)).await,
        error(Code::FailedPrecondition, "etcdserver: too many learner members in cluster")
    );
    let promote = MemberPromoteRequest { id: learner.id };
    assert_eq!(
        client.refused("Cluster/MemberPromote", promote.clone()).await,
        error(
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader"
        )
    );
    assert_eq!(
        client.refused("Maintenance/MoveLeader", MoveLeaderRequest { target_id: 0 }).await,
        error(Code::FailedPrecondition, "etcdserver: not leader")
    );

    fixture.etcd.start("d", "172.18.0.9").expect("the learner starts");
    assert_eq!(fixture.id("d"), learner.id);
    let mut new = fixture.client("d").await;
    assert!(new.status().await.is_learner);
    assert_eq!(
        new.refused("Cluster/MemberList", MemberListRequest::default()).await,
        error(Code::FailedPrecondition, "etcdserver: rpc not supported for learner")
    );
    assert!(new.range(RangeRequest { serializable: true, ..one("k") }).await.is_ok());
    assert!(new.range(one("k")).await.is_err());

    let promoted: MembersResponse =
        client.call("Cluster/MemberPromote", promote.clone()).await.expect("in sync");
    assert!(promoted.members.iter().all(|member| !member.is_learner));
    assert_eq!(
        client.refused("Cluster/MemberPromote", promote).await,
        error(Code::FailedPrecondition, "etcdserver: can only promote a learner member")
    );
    assert_eq!(
        client.refused("Cluster/MemberPromote", MemberPromoteRequest { id: 7 }).await,
        error(Code::NotFound, "etcdserver: member not found")
    );
}

#[tokio::test(start_paused = true)]
async fn peer_urls_change_but_are_nobodys_twice() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let update = |id, url: &str| MemberUpdateRequest { id, peer_urls: vec![url.to_owned()] };
    assert_eq!(
        client.refused("Cluster/MemberUpdate", update(7, "https://h:1")).await,
        error(Code::NotFound, "etcdserver: member not found")
    );
    let taken = update(fixture.id("a"), "https://172.18.0.3:2380");
    assert_eq!(
        client.refused("Cluster/MemberUpdate", taken).await,
        error(Code::FailedPrecondition, "etcdserver: Peer URLs already exists")
    );
    let changed: MembersResponse = client
        .call("Cluster/MemberUpdate", update(fixture.id("a"), "https://172.18.0.99:2380"))
        .await
        .expect("changed");
    let own = changed.members.iter().find(|member| member.name == "a").expect("a");
    assert_eq!(own.peer_urls, ["https://172.18.0.99:2380"]);
}

#[tokio::test(start_paused = true)]
async fn alarms_are_raised_listed_and_disarmed() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let member_id = fixture.id("b");
    let request = |action: AlarmAction, alarm: AlarmType| AlarmRequest {
        action: action.into(),
        member_id,
        alarm: alarm.into(),
    };
    let raise = request(AlarmAction::Activate, AlarmType::NoSpace);
    let raised: AlarmResponse = client.call("Maintenance/Alarm", raise).await.expect("raised");
    assert_eq!(raised.alarms, [AlarmMember { member_id, alarm: AlarmType::NoSpace.into() }]);
    assert_eq!(client.status().await.errors, [format!("memberID:{member_id} alarm:NOSPACE ")]);
    let member = fixture.etcd.status().members.into_iter().find(|member| member.name == "b");
    assert_eq!(member.expect("b").alarms, ["NOSPACE"], "controllers see it too");
    let no_space = error(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
    let put = PutRequest { key: "k".into(), ..PutRequest::default() };
    assert_eq!(client.refused("KV/Put", put.clone()).await, no_space);
    let delete = DeleteRangeRequest { key: "k".into(), ..DeleteRangeRequest::default() };
    assert!(client.call::<_, DeleteRangeResponse>("KV/DeleteRange", delete.clone()).await.is_ok());

    let corrupt = request(AlarmAction::Activate, AlarmType::Corrupt);
    let _: AlarmResponse = client.call("Maintenance/Alarm", corrupt).await.expect("raised");
    let is_corrupt = error(Code::DataLoss, "etcdserver: corrupt cluster");
    assert_eq!(client.refused("KV/Put", put.clone()).await, is_corrupt);
    assert_eq!(client.refused("KV/DeleteRange", delete).await, is_corrupt);
    assert!(client.range(one("k")).await.is_ok(), "etcd goes on reading");

    let get = AlarmRequest::default();
    let all: AlarmResponse = client.call("Maintenance/Alarm", get.clone()).await.expect("all");
    assert_eq!(all.alarms.len(), 2);
    for alarm in [AlarmType::NoSpace, AlarmType::Corrupt] {
        let disarm = request(AlarmAction::Deactivate, alarm);
        let gone: AlarmResponse = client.call("Maintenance/Alarm", disarm).await.expect("gone");
        assert_eq!(gone.alarms.len(), 1);
    }
    let none: AlarmResponse = client.call("Maintenance/Alarm", get).await.expect("none");
    assert_eq!(none.alarms, []);
    assert!(client.put("k", "v").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nothing_is_agreed_on() {
    let fixture = three();
    let mut client = fixture.client("c").await;
    client.put("k", "v").await.expect("written");
    fixture.etcd.stop("a");
    assert_eq!(client.status().await.leader, fixture.id("b"), "two of three go on");
    fixture.etcd.stop("b");

    let status = client.status().await;
    assert_eq!(status.leader, 0);
    assert_eq!(status.errors, ["etcdserver: no leader"]);
    let local = RangeRequest { serializable: true, ..one("k") };
    assert_eq!(client.range(local).await.expect("a local read").count, 1);
    let list: MembersResponse =
        client.call("Cluster/MemberList", MemberListRequest::default()).await.expect("a list");
    assert_eq!(list.members.len(), 3, "those that are down are members still");

    let start = fixture.clock.elapsed();
    let late = error(Code::Unavailable, "etcdserver: request timed out");
    assert_eq!(client.refused("KV/Range", one("k")).await, late);
    assert_eq!(fixture.clock.elapsed() - start, Duration::from_secs(7));
    let linearizable = MemberListRequest { linearizable: true };
    assert_eq!(client.refused("Cluster/MemberList", linearizable).await, late);
    let dropped = error(Code::DeadlineExceeded, "context deadline exceeded");
    let put = PutRequest { key: "k".into(), ..PutRequest::default() };
    assert_eq!(client.refused("KV/Put", put).await, dropped);
    assert_eq!(client.refused("Maintenance/Alarm", AlarmRequest::default()).await, dropped);
    let gone = MemberRemoveRequest { id: fixture.id("a") };
    assert_eq!(client.refused("Cluster/MemberRemove", gone).await, dropped);
    assert_eq!(
        client.refused("Cluster/MemberPromote", MemberPromoteRequest { id: 7 }).await,
        error(Code::Unavailable, "etcdserver: no leader")
    );
    client.metadata.push(("hasleader", "true"));
    let start = fixture.clock.elapsed();
    assert_eq!(
        client.refused("KV/Range", one("k")).await,
        error(Code::Unavailable, "etcdserver: no leader")
    );
    assert_eq!(fixture.clock.elapsed(), start, "who insists on a leader does not wait");
    assert_eq!(
        fixture.etcd.start("d", "172.18.0.9"),
        Err("etcdserver: no leader".to_owned()),
        "nobody could let a new member in"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_leader_goes_on_when_there_is_one() {
    let fixture = three();
    let (mut reader, mut writer) = (fixture.client("c").await, fixture.client("c").await);
    fixture.etcd.stop("a");
    fixture.etcd.stop("b");
    let read = async { reader.refused("KV/Range", one("k")).await };
    let write = async { writer.put("k", "v").await };
    let recover = async {
        fixture.clock.sleep(Duration::from_secs(3)).await;
        fixture.etcd.start("a", "172.18.0.2").expect("back again");
    };
    let start = fixture.clock.elapsed();
    let (read, write, ()) = tokio::join!(read, write, recover);
    assert_eq!(read, error(Code::Unavailable, "etcdserver: leader changed"));
    assert_eq!(write.expect("written").header.expect("a header").revision, 2);
    assert_eq!(fixture.clock.elapsed() - start, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_clients_deadline_is_kept() {
    let fixture = three();
    let mut client = fixture.client("c").await;
    fixture.etcd.stop("a");
    fixture.etcd.stop("b");
    client.metadata.push(("grpc-timeout", "1500m"));
    let start = fixture.clock.elapsed();
    assert_eq!(client.refused("KV/Range", one("k")).await.0, Code::DeadlineExceeded);
    assert_eq!(fixture.clock.elapsed() - start, Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn controllers_of_this_process_see_the_same_state() {
    let fixture = three();
    let mut client = fixture.client("b").await;
    assert!(fixture.etcd.move_leader("b") && !fixture.etcd.move_leader("b"));
    assert_eq!(client.status().await.leader, fixture.id("b"));
    assert!(fixture.etcd.remove("a") && !fixture.etcd.remove("a"));
    fixture.etcd.stop("c");
    let status = fixture.etcd.status();
    let names: Vec<_> = status.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(status.leader_id, 0, "one of two is no majority");
    assert!(!fixture.etcd.remove("c"), "and can change nothing");
    assert_eq!(client.status().await.leader, 0);
}
