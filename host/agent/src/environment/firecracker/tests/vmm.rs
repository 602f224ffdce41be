//! A Firecracker without machines: its API as documented, strict about every field, and a shell in place of the guest.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

/// In place of the program: waits until the API says `go`, takes the drives apart, runs the first script on them, and puts
/// them together again. Its output is the console.
pub(super) fn machine() -> &'static str {
    r#"#!/bin/sh
[ "$1" = --api-sock ] && [ "$#" = 2 ] || { echo "wrong arguments: $*" >&2; exit 9; }
PATH=$PATH:/usr/sbin:/sbin
vm=$(cd "${2%/*}" && pwd)
guest=$vm/guest
rm -rf "$guest" "$vm/go"; mkdir -p "$guest/control" "$guest/workspace"
: > "$vm/started"
while [ ! -e "$vm/go" ]; do sleep 0.01; done
for drive in control workspace; do
  debugfs -R "rdump / \"$guest/$drive\"" "$vm/$drive.ext4" 2>/dev/null >/dev/null
done
printf '[    0.000000] Linux version 6.1\r\n[    0.1] random: crng init done\n'
sed -i -e "s|^control=/run/oxide|control=$guest/control|" -e "s|^workspace=/workspace|workspace=$guest/workspace|" \
  -e "s|^power_off=.*|power_off='exit 0'|" "$guest/control/init.sh"
sed -i -e "s|^cd '/workspace|cd '$guest/workspace|" "$guest/control/command.sh"
# A kernel starts its first process with all signals as usual, whatever whoever runs the tests ignores.
env --default-signal=INT sh -c 'echo $$ > "$1/pid"; exec sh "$1/control/init.sh"' sh "$guest" 2>&1
for drive in control workspace; do
  rm -rf "$guest/$drive/lost+found"
  mke2fs -q -F -t ext4 -O ^has_journal -d "$guest/$drive" "$vm/$drive.ext4"
done
echo 'reboot: Restarting system'
"#
}

/// A machine whose kernel does not like its root file system.
pub(super) fn dying_machine() -> &'static str {
    r#"#!/bin/sh
vm=$(cd "${2%/*}" && pwd)
: > "$vm/started"
while [ ! -e "$vm/go" ]; do sleep 0.01; done
echo 'Kernel panic - not syncing: VFS: Unable to mount root fs'
"#
}

type Requests = Arc<Mutex<Vec<(String, Json)>>>;

/// The API of all machines of a job, one after the other.
pub(super) struct Vmm {
    requests: Requests,
    task: JoinHandle<()>,
}

impl Vmm {
    /// Listens each time the program has started.
    pub(super) fn begin(folder: PathBuf) -> Vmm {
        let requests = Requests::default();
        let task = tokio::spawn(serve(folder, Arc::clone(&requests)));
        Vmm { requests, task }
    }

    /// All requests so far, with their bodies.
    pub(super) fn requests(&self) -> Vec<(String, Json)> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Vmm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(folder: PathBuf, requests: Requests) {
    let (started, directory) = (folder.join("started"), File::open(&folder).unwrap());
    let mut listener: Option<UnixListener> = None;
    let mut instance = Instance::default();
    loop {
        if started.exists() {
            fs::remove_file(&started).unwrap();
            // The path may be longer than that of a socket can be.
            let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join("api.sock");
            listener = Some(UnixListener::bind(path).unwrap());
            instance = Instance::default();
        }
        let Some(listening) = &listener else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        if let Ok(accepted) = tokio::time::timeout(Duration::from_millis(5), listening.accept()).await {
            answer(accepted.unwrap().0, &folder, &mut instance, &requests).await;
        }
    }
}

/// What the machine was told.
#[derive(Default)]
struct Instance {
    has_config: bool,
    has_kernel: bool,
    has_root: bool,
    is_running: bool,
}

async fn answer(mut stream: UnixStream, folder: &Path, instance: &mut Instance, requests: &Requests) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            // Somebody looks whether we listen.
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name)))
    };
    assert_eq!(header("content-type").unwrap().1, "application/json");
    let mut body = vec![0; header("content-length").unwrap().1.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let body: Json = serde_json::from_slice(&body).unwrap();
    requests.lock().unwrap().push((line.clone(), body.clone()));
    let text = match instance.handle(&line, &body, folder) {
        Ok(()) => "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        Err(fault) => {
            let fault = json!({ "fault_message": fault }).to_string();
            let length = fault.len();
            format!(
                "HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{fault}"
            )
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

impl Instance {
    fn handle(&mut self, line: &str, body: &Json, folder: &Path) -> Result<(), String> {
        let before_boot = |running: bool| match running {
            true => Err("The requested operation is not supported after starting the microVM.".to_owned()),
            false => Ok(()),
        };
        let existing = |field: &str| {
            let path = Path::new(body[field].as_str().ok_or(format!("{field} is no text"))?);
            path.is_file().then_some(()).ok_or(format!("no file {}", path.display()))
        };
        match line {
            "PUT /logger" => {
                fields(body, &["log_path"], &["level", "show_level", "show_log_origin", "module"])?;
                let levels = ["Off", "Trace", "Debug", "Info", "Warning", "Error"];
                one_of(&body["level"], &levels)?;
                existing("log_path")
            }
            "PUT /machine-config" => {
                before_boot(self.is_running)?;
                fields(
                    body,
                    &["vcpu_count", "mem_size_mib"],
                    &["smt", "cpu_template", "track_dirty_pages", "huge_pages"],
                )?;
                let vcpus = body["vcpu_count"].as_u64().ok_or("vcpu_count is no number")?;
                if !(1..=32).contains(&vcpus) {
                    let words = "The vCPU number is invalid! The vCPU number can only be 1 or an even number when \
                                 hyperthreading is enabled.";
                    return Err(words.to_owned());
                }
                body["mem_size_mib"].as_u64().filter(|size| *size > 0).ok_or("The memory size (MiB) is invalid.")?;
                self.has_config = true;
                Ok(())
            }
            "PUT /boot-source" => {
                before_boot(self.is_running)?;
                fields(body, &["kernel_image_path"], &["boot_args", "initrd_path"])?;
                existing("kernel_image_path")?;
                self.has_kernel = true;
                Ok(())
            }
            "PUT /actions" => {
                fields(body, &["action_type"], &[])?;
                one_of(&body["action_type"], &["FlushMetrics", "InstanceStart", "SendCtrlAltDel"])?;
                match (body["action_type"].as_str(), self.is_running) {
                    (Some("InstanceStart"), false) if self.has_config && self.has_kernel && self.has_root => {
                        self.is_running = true;
                        fs::write(folder.join("go"), "").map_err(|error| error.to_string())
                    }
                    (Some("InstanceStart"), false) => {
                        Err("Cannot start microvm without kernel configuration.".to_owned())
                    }
                    (Some("SendCtrlAltDel"), true) => {
                        let pid = fs::read_to_string(folder.join("guest/pid")).map_err(|error| error.to_string())?;
                        let sent = std::process::Command::new("kill").args(["-INT", pid.trim()]).status();
                        sent.is_ok_and(|status| status.success()).then_some(()).ok_or("no keyboard".to_owned())
                    }
                    (_, running) => {
                        before_boot(running).and(Err("not supported before starting the microVM".to_owned()))
                    }
                }
            }
            line => {
                let id =
                    line.strip_prefix("PUT /drives/").ok_or(format!("Invalid request method and/or path: {line}."))?;
                before_boot(self.is_running)?;
                let optional =
                    ["path_on_host", "is_read_only", "partuuid", "cache_type", "rate_limiter", "io_engine", "socket"];
                fields(body, &["drive_id", "is_root_device"], &optional)?;
                if body["drive_id"] != *id {
                    return Err("The id from the path does not match the id from the body!".to_owned());
                }
                if !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return Err("API Resource IDs can only contain alphanumeric characters and underscores.".to_owned());
                }
                existing("path_on_host")?;
                let is_root = body["is_root_device"].as_bool().ok_or("is_root_device is no truth value")?;
                if is_root && std::mem::replace(&mut self.has_root, true) {
                    return Err("A root block device already exists!".to_owned());
                }
                body["is_read_only"].as_bool().map(drop).ok_or("is_read_only is no truth value".to_owned())
            }
        }
    }
}

/// Firecracker takes no field that it does not know.
fn fields(body: &Json, required: &[&str], optional: &[&str]) -> Result<(), String> {
    let given = body.as_object().ok_or("the body is no object")?;
    if let Some(missing) = required.iter().find(|name| !given.contains_key(**name)) {
        return Err(format!("missing field `{missing}`"));
    }
    let known = |name: &str| required.contains(&name) || optional.contains(&name);
    given.keys().find(|name| !known(name)).map_or(Ok(()), |name| Err(format!("unknown field `{name}`")))
}

fn one_of(value: &Json, known: &[&str]) -> Result<(), String> {
    let given = value.as_str().unwrap_or_default();
    known.contains(&given).then_some(()).ok_or(format!("unknown variant `{given}`"))
}
