//! The data of a server outlives it: backed up while it works, restored elsewhere, and its master key changed.

use std::fs;

use oxide_core::outcome::Status;

use super::{Served, id, people::SLOW, says};

const KEEP: &str = r#"
version: "1"
name: keep
stages:
  one:
    environment: host
    steps:
      - name: spend
        run: test "$TOKEN" = s3cret-value && echo "it is $TOKEN"
        secrets: [TOKEN]
"#;

#[test]
fn a_backup_of_a_server_at_work_is_restored_elsewhere_with_all_that_was_in_it() {
    let mut served = Served::signed_in();
    served.keep_secret("TOKEN", "s3cret-value");
    let kept = served.begin("keep.yaml", KEEP);
    let log = served.followed(&kept, 0).stdout;
    let text = served.text(&kept);
    assert_eq!(text, "it is ***\n");
    let slow = served.begin("slow.yaml", SLOW);
    served.wait_for("the job to begin", || served.text(&slow).contains("begun"));

    let path = |name: &str| served.path(name).display().to_string();
    let (data, new, copy) = (path("data"), path("new"), path("copy.db"));
    let nowhere = served.refusal(2, &["admin", "backup", &copy, "--data-dir", &path("nowhere")]);
    says(&nowhere, &["there is no database", "`--data-dir DIR`"]);
    let made = served.oxide(&["admin", "backup", &copy, "--data-dir", &data]).expect(0);
    assert_eq!(made.stdout, format!("the copy is {copy}\n"));
    says(&made.stderr, &["secret.key"]);
    assert_eq!(served.details(&slow).about.status, Status::Running, "the server was at work meanwhile");

    let nothing = served.refusal(2, &["admin", "restore", &path("nofile"), "--data-dir", &data]);
    says(&nothing, &["there is no file", "nofile", "`oxide admin backup FILE`"]);
    served.server.stop();
    let restore = ["admin", "restore", &copy, "--data-dir", &new];
    let restored = served.oxide(&restore).expect(0);
    assert_eq!(restored.stdout, "restored\n");
    says(&restored.stderr, &["warning: its secrets cannot be read yet", "secret.key", "hint: "]);
    fs::copy(served.path("data/secret.key"), served.path("new/secret.key")).unwrap();
    let restored = served.oxide(&restore).expect(0);
    says(&restored.stderr, &["server.db.before-restore now"]);
    assert!(!restored.stderr.contains("warning"), "{}", restored.stderr);

    let directory = served.path("new");
    served.move_to(&directory);
    let runs = served.oxide(&["runs", "--remote"]).expect(0).stdout;
    says(&runs, &["keep#1", "slow#1"]);
    assert_eq!(served.text(&kept), text);
    assert_eq!(served.followed(&kept, 0).stdout, log);
    says(&served.text(&slow), &["begun\n"]);
    says(&served.oxide(&["cancel", "slow#1", "--kill"]).expect(0).stdout, &["slow#1 "]);
    says(&served.oxide(&["secrets", "list"]).expect(0).stdout, &["TOKEN"]);

    let rotated = served.oxide(&["admin", "rotate-key", "--data-dir", &new]).expect(0);
    assert!(rotated.stdout.starts_with("encrypted with key 2 now: "), "{}", rotated.stdout);
    says(&rotated.stderr, &["copies of the database from before need the old key", "secret.key.before-rotate-1"]);
    assert!(directory.join("secret.key.before-rotate-1").is_file());
    let again = id(&served.oxide(&["retry", "keep#1", "--json"]).expect(0));
    says(&served.followed(&again, 0).stdout, &["\n  it is ***\n"]);

    // The copy is from before: its key is in the file that was kept.
    served.server.stop();
    let directory = directory.canonicalize().unwrap();
    fs::rename(directory.join("server.db.before-restore"), served.path("older.db")).unwrap();
    let restored = served.oxide(&restore).expect(0);
    let (kept, keys) = (directory.join("secret.key.before-rotate-1"), directory.join("secret.key"));
    let hint = format!("hint: add the line `1:` of {} to {}\n", kept.display(), keys.display());
    says(&restored.stderr, &["warning: its secrets cannot be read yet", &hint]);
    let old = fs::read_to_string(&kept).unwrap();
    let line = old.lines().find(|line| line.starts_with("1:")).unwrap();
    fs::write(&keys, format!("{}{line}\n", fs::read_to_string(&keys).unwrap())).unwrap();
    fs::remove_file(directory.join("server.db.before-restore")).unwrap();
    let restored = served.oxide(&restore).expect(0);
    assert!(!restored.stderr.contains("warning"), "{}", restored.stderr);
}
