//! Groups whose ranks are threads of this process, over loopback as they are between machines.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use kiwi_core::place::Place;
use kiwi_distributed::{Group, GroupError};
use tch::{Kind, Tensor};

/// The place of a rank that meets others at this port, as torchrun says it.
fn place(rank: u32, ranks: u32, port: u16) -> Place {
    let variable = |name: &str| {
        Some(match name {
            "RANK" | "LOCAL_RANK" => rank.to_string(),
            "WORLD_SIZE" | "LOCAL_WORLD_SIZE" => ranks.to_string(),
            "MASTER_ADDR" => "127.0.0.1".to_owned(),
            "MASTER_PORT" => port.to_string(),
            _ => return None,
        })
    };
    Place::of_launcher(variable).unwrap().unwrap()
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// What each of so many ranks comes to.
fn each<T: Send + 'static>(ranks: u32, port: u16, work: fn(Group) -> T) -> Vec<T> {
    let start = |rank| {
        thread::spawn(move || work(Group::meet(&place(rank, ranks, port), Duration::from_secs(30)).unwrap()))
    };
    let threads: Vec<_> = (0..ranks).map(start).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
}

#[test]
fn tensors_are_summed_and_copied() {
    for ranks in [1, 2, 4] {
        let found = each(ranks, free_port(), |mut group| {
            let rank = f64::from(group.place().rank);
            let (words, loss) = (Tensor::from_slice(&[1.0, rank]), Tensor::from_slice(&[rank as f32 + 0.5]));
            let count = Tensor::from_slice(&[i64::from(group.place().rank) + 1]);
            group.sum(&[&words, &loss, &count]).unwrap();
            let last = group.place().ranks - 1;
            let copied = Tensor::from_slice(&[rank * 10.0]);
            group.copy_from(last, &[&copied]).unwrap();
            let most = Tensor::from_slice(&[rank as u8]);
            group.largest(&[&most]).unwrap();
            assert_eq!(numbers(&most), [f64::from(last)]);
            group.wait_for_all().unwrap();
            [words, loss, count, copied].map(|tensor| numbers(&tensor))
        });
        let (n, of_ranks) = (f64::from(ranks), f64::from(ranks * (ranks - 1) / 2));
        for [words, loss, count, copied] in found {
            assert_eq!(words, [n, of_ranks]);
            assert_eq!(loss, [of_ranks + 0.5 * n]);
            assert_eq!(count, [of_ranks + n]);
            assert_eq!(copied, [10.0 * (n - 1.0)]);
        }
    }
}

#[test]
fn what_each_says_is_heard_by_all_in_order_again_and_again() {
    let heard = each(3, free_port(), |mut group| {
        let rank = group.place().rank;
        let first = group.exchange(format!("plugin {rank}").as_bytes()).unwrap();
        let second = group.exchange(&vec![rank as u8; rank as usize * 100_000]).unwrap();
        (first, second)
    });
    for (first, second) in heard {
        assert_eq!(first, [b"plugin 0", b"plugin 1", b"plugin 2"]);
        let sizes: Vec<_> = second.iter().map(Vec::len).collect();
        assert_eq!(sizes, [0, 100_000, 200_000]);
        assert!(second[2].iter().all(|&byte| byte == 2));
    }
}

#[test]
fn a_rank_that_leaves_is_noticed_at_once() {
    let began = Instant::now();
    let found = each(3, free_port(), |mut group| -> Result<(), GroupError> {
        group.wait_for_all()?;
        if group.place().rank == 1 {
            return Ok(());
        }
        group.sum(&[&Tensor::from_slice(&[1.0])])
    });
    assert!(began.elapsed() < Duration::from_secs(20), "long before the time limit: {:?}", began.elapsed());
    for rank in [0, 2] {
        let error = found[rank].as_ref().unwrap_err();
        assert_eq!((error.rank as usize, error.ranks), (rank, 3));
        let said = error.to_string();
        assert!(said.starts_with(&format!("rank {rank} of 3 cannot sum tensors over all ranks: ")), "{said}");
        assert!(!said.contains('\n') && !said.contains("frame #"), "{said}");
    }
    assert_eq!(found[1], Ok(()));
}

#[test]
fn another_thread_ends_the_waiting_for_a_rank_that_hangs() {
    let began = Instant::now();
    let found = each(2, free_port(), |mut group| -> Result<(), GroupError> {
        group.wait_for_all()?;
        if group.place().rank == 1 {
            // Long enough for the other to wait, and there all the while.
            thread::sleep(Duration::from_secs(3));
            return Ok(());
        }
        let give_up = group.give_up();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            give_up.now();
        });
        let sum = group.sum(&[&Tensor::from_slice(&[1.0])]);
        other.join().unwrap();
        assert!(group.wait_for_all().is_err(), "and later nothing is waited for");
        sum
    });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let said = found[0].as_ref().unwrap_err().to_string();
    assert_eq!(said, "rank 0 of 2 cannot sum tensors over all ranks: it was given up");
}

#[test]
fn a_rank_that_never_comes_is_waited_for_no_longer_than_said() {
    let port = free_port();
    let began = Instant::now();
    let error = Group::meet(&place(0, 2, port), Duration::from_secs(2)).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let said = error.to_string();
    assert!(said.starts_with(&format!("rank 0 of 2 cannot meet the others at 127.0.0.1:{port}: ")), "{said}");
    assert!(said.contains("1/2 clients joined"), "{said}");
    // And where nobody listens.
    let error = Group::meet(&place(1, 2, port), Duration::from_secs(2)).unwrap_err();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn a_port_that_is_taken_is_said_and_a_group_that_has_ended_leaves_it_free() {
    let taken = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Group::meet(&place(0, 1, port), Duration::from_secs(5)).unwrap_err();
    assert!(error.to_string().contains("in use") || error.to_string().contains("EADDRINUSE"), "{error}");
    drop(taken);
    for _ in 0..3 {
        let sums = each(2, port, |mut group| {
            let one = Tensor::from_slice(&[1.0]);
            group.sum(&[&one]).unwrap();
            numbers(&one)[0]
        });
        assert_eq!(sums, [2.0, 2.0]);
    }
}
