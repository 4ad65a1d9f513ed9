//! Listings of trees against git itself, on unusual repositories.

mod odd_repositories;

use git::{Cancel, Git, RelPath, Repositories, Rev, Roots, Route};
use odd_repositories::Outcome;
use std::{ops::ControlFlow, str};

#[test]
fn listings_and_objects_match_git() -> Outcome {
    let mut routes = [0, 0];
    for odd in odd_repositories::all() {
        let roots = Roots::new([odd.home.path().to_owned(), odd.path.clone()])?;
        let repo = Repositories::new(Git::new(None), roots).open(&odd.path)?;
        let cancel = Cancel::never();
        if repo.head(&cancel)?.is_none() {
            continue;
        }
        for (paths, recursive) in [
            (&[][..], false),
            (&[], true),
            (&["dir"], false),
            (&["dir"], true),
            (&["dir/"], false),
            (&["dir/"], true),
            (&["dir/b.txt"], false),
            (&["dir/b.txt/"], true),
            (&["a.rs"], true),
            (&["absent/deep"], false),
            (&["a.rs", "dir/"], false),
        ] {
            let named = paths.iter().map(|path| RelPath::new(path.trim_end_matches('/'), None)).collect::<Result<Vec<_>, _>>()?;
            let below: Vec<bool> = paths.iter().map(|path| path.ends_with('/')).collect();
            let mut ours = Vec::new();
            let route = repo.ls_tree(&Rev::head(), &named, &below, recursive, &cancel, &mut |entry| {
                let size = entry.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
                ours.extend_from_slice(format!("{} {} {} {size:>7}\t", entry.mode, entry.kind, entry.id).as_bytes());
                ours.extend_from_slice(&entry.path);
                ours.push(0);
                ControlFlow::Continue(())
            })?;
            routes[usize::from(route == Route::Cli)] += 1;
            let options = ["ls-tree", "-z", "--long", "--full-tree", if recursive { "-r" } else { "-z" }, "HEAD", "--"];
            let gits = odd.git(&[&options[..], paths].concat());
            assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&gits), "{}: {paths:?} {recursive} {route:?}", odd.name);
        }
        for revision in odd.git(&["for-each-ref", "--format=%(objectname) %(objecttype)"]).split(|&byte| byte == b'\n') {
            let Some((id, kind)) = str::from_utf8(revision)?.split_once(' ') else { continue };
            let ours = repo.raw_object(git::ObjectId::from_hex(id.as_bytes())?, kind, 1 << 20, &cancel)?;
            assert_eq!(ours, odd.git(&["cat-file", kind, id]), "{}: {id}", odd.name);
        }
    }
    assert!(routes[0] >= 300 && routes[1] >= 20, "both routes must be covered: {routes:?}");
    Ok(())
}
