#![allow(clippy::all, clippy::pedantic, missing_docs, clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]
use git::{Cancel, DiffQuery, Git, Keep, ObjectId, Repositories, Rev, Roots, Sides};
use std::{process::Command, time::Instant};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let path = std::fs::canonicalize(&args[0]).unwrap();
    let repos = Repositories::new(Git::new(None), Roots::new([path.clone()]).unwrap());
    let repo = repos.open(&path).unwrap();
    let cancel = Cancel::never();
    let keep = Keep { per_file: 16000, total: 16 << 20, skip: 0, files: 100_000 };
    let id = |rev: &str| -> ObjectId { repo.resolve_commit(&Rev::new(rev.to_owned()).unwrap(), &cancel).unwrap() };
    let what = args[1].as_str();
    let (sides, cmd): (Sides, Vec<String>) = match what {
        "unstaged" => (Sides::Unstaged, vec!["diff".into()]),
        "staged" => (Sides::Staged, vec!["diff".into(), "--cached".into()]),
        "head" => (Sides::Worktree(id("HEAD")), vec!["diff".into(), "HEAD".into()]),
        "trees" => (Sides::Trees(Some(id(&args[2])), id(&args[3])), vec!["diff".into(), args[2].clone(), args[3].clone()]),
        _ => (Sides::Trees(None, id(&args[2])), vec!["show".into(), args[2].clone()]),
    };
    let query = DiffQuery { sides, paths: vec![], exclude: vec![], context: None, keep };
    let n: usize = args.last().unwrap().parse().unwrap_or(15);
    let (mut ours, mut gits) = (vec![], vec![]);
    let mut size = 0;
    for _ in 0..n {
        let repo = repos.open(&path).unwrap();
        let t = Instant::now();
        let (patch, route) =
            if what == "show" { repo.show(id(&args[2]), &query, &cancel).unwrap() } else { repo.diff(&query, &cancel).unwrap() };
        ours.push(t.elapsed().as_secs_f64() * 1e3);
        size = patch.files.iter().map(|f| f.size).sum::<u64>();
        assert!(route == git::Route::Engine, "left to git");
        let t = Instant::now();
        let out = Command::new("git").arg("-C").arg(&path).args(&cmd).output().unwrap();
        gits.push(t.elapsed().as_secs_f64() * 1e3);
        assert!(size <= out.stdout.len() as u64);
    }
    ours.sort_by(f64::total_cmp);
    gits.sort_by(f64::total_cmp);
    println!(
        "{what} {:?}: ours {:.2} ms (min {:.2}), git {:.2} ms (min {:.2}), ratio {:.2}; {size} bytes",
        &args[2..],
        ours[n / 2],
        ours[0],
        gits[n / 2],
        gits[0],
        ours[n / 2] / gits[n / 2]
    );
}
