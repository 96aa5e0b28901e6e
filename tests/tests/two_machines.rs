//! Two machines that train together and are cut off from one another: network namespaces with a cable between them.

use std::process::Command;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::json;

/// Two machines `10.77.0.1` and `10.77.0.2`, the second with the first rank's directory at hand; `on MACHINE COMMAND…` runs there.
/// Loopback is up on both, as everywhere.
const MACHINES: &str = r#"
set -e
ip link set lo up
unshare -n sh -c 'ip link set lo up; exec sleep 600' & second=$!
trap 'kill $second' EXIT
until [ "$(readlink /proc/$second/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.02; done
ip link add cable0 type veth peer name cable1
ip link set cable1 netns $second
ip addr add 10.77.0.1/24 dev cable0
ip link set cable0 up
nsenter -t $second -n ip addr add 10.77.0.2/24 dev cable1
nsenter -t $second -n ip link set cable1 up
set +e
on() {
    machine=$1; shift
    export RANK=$machine WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.77.0.1 MASTER_PORT=29511
    if [ $machine = 0 ]; then exec "$@"; else exec nsenter -t $second -n "$@"; fi
}
"#;

/// Runs a script as [`MACHINES`] begins; nothing, where there can be no such machines.
fn with_two_machines(work: &Workplace, script: &str) -> Option<Outcome> {
    let possible = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link add one0 type veth peer name two0 && nsenter --version"])
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: no networks can be made here (unshare -rn, ip link add type veth, nsenter)");
        return None;
    }
    Some(work.run_unshared("-rn", &format!("{MACHINES}{script}")))
}

#[test]
fn two_machines_that_are_cut_off_from_one_another_end_and_say_so_and_the_run_is_resumed() {
    let work = Workplace::new();
    let endless = [("trainer.epochs", json!(100_000)), ("trainer.checkpoint.resume_interval", json!(1))];
    work.write("run.json", &config_with(&endless).to_string());
    let script = r#"
        (on 0 "$PROGRAM" train run.json --threads 1 --output-dir run) 2>0.said & first=$!
        (on 1 "$PROGRAM" train run.json --threads 1 --output-dir run) 2>1.said & other=$!
        for try in $(seq 1 600); do
            grep -q "epoch 1 step" 0.said && break
            sleep 0.1
        done
        ip link set cable0 down
        cut=$(date +%s)
        wait $first; first=$?
        wait $other; other=$?
        ended=$(date +%s)
        echo "codes $first $other after $((ended - cut)) s"
        ip link set cable0 up
        more="--set trainer.max_steps=60 --resume"
        (on 0 "$PROGRAM" train run.json --threads 1 --output-dir run $more) 2>2.said & first=$!
        (on 1 "$PROGRAM" train run.json --threads 1 --output-dir run $more) 2>3.said & other=$!
        wait $first; first=$?
        wait $other; other=$?
        echo "resumed $first $other"
    "#;
    let Some(outcome) = with_two_machines(&work, script) else { return };
    let said = |name: &str| std::fs::read_to_string(work.at(&format!("{name}.said"))).unwrap();
    let all = || format!("{outcome} {} {} {} {}", said("0"), said("1"), said("2"), said("3"));
    let codes = outcome.stdout.lines().next().unwrap_or_default();
    let seconds = codes.strip_prefix("codes 1 1 after ").and_then(|rest| rest.strip_suffix(" s"));
    let seconds: u64 = seconds.unwrap_or_else(|| panic!("{}", all())).parse().unwrap();
    assert!(seconds <= 30, "{}", all());
    // Each names the other, and what may be the cause.
    for (rank, other) in [("0", "1"), ("1", "0")] {
        let cause = format!(
            "error[E0607]: rank {other} has not answered for 10 s (it is stopped, or cut off from the network)"
        );
        assert!(said(rank).contains(&cause), "{}", all());
    }
    assert!(outcome.stdout.contains("resumed 0 0"), "{}", all());
}
