//! What a server lends to those who use it: its machine and its place in a network. All of it if only this machine reaches it,
//! nothing of it else, unless its operator says so.

use std::net::{IpAddr, SocketAddr};

use oxide_planner::Registries;
use oxide_registry::oci::{OwnAccount, Reach, host_and_port, hosts_of_url};

use super::config::ServerConfig;

impl ServerConfig {
    /// Does only this machine reach a server that listens here, as far as the settings tell? Behind a proxy it is reached by
    /// others, too.
    pub fn is_of_this_machine(&self, listens: SocketAddr) -> bool {
        let is_other = |url: &String| {
            let Some((host, _)) = host_and_port(url) else { return true };
            let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            host != "localhost" && !ip.is_ok_and(|ip| ip.is_loopback())
        };
        let is_passed_on = self.url.iter().chain(&self.cluster_url).any(is_other);
        listens.ip().is_loopback() && self.trusted_proxies.is_empty() && !is_passed_on
    }

    /// Does the agent within the server run commands on this machine?
    pub fn host_jobs(&self, listens: SocketAddr) -> bool {
        self.agent.host_jobs.unwrap_or_else(|| self.is_of_this_machine(listens))
    }

    /// The hosts by which references name the registry of this server.
    fn own_registry(&self, listens: SocketAddr) -> Vec<String> {
        let mut hosts = own_places(listens);
        hosts.extend(self.url.iter().flat_map(|url| hosts_of_url(url)));
        hosts
    }

    /// How registries are reached; its own with this password.
    pub fn registries(&self, listens: SocketAddr, password: &str) -> Registries {
        let own = self.own_registry(listens);
        let account = |host: &String| OwnAccount {
            host: host.clone(),
            username: "server".to_owned(),
            password: password.to_owned(),
        };
        let own_accounts = own.iter().map(account).collect();
        let mut insecure_hosts = self.insecure_registries.clone();
        insecure_hosts.push(listens.to_string());
        if let Some(url) = self.url.as_deref().filter(|url| url.starts_with("http://")) {
            insecure_hosts.extend(hosts_of_url(url));
        }
        Registries { insecure_hosts, reach: self.reach(listens), own_accounts, logins: Vec::new() }
    }

    /// Which hosts are asked for those who use a server that listens here.
    pub fn reach(&self, listens: SocketAddr) -> Reach {
        let is_local = self.is_of_this_machine(listens);
        let folders = self.local_repositories.unwrap_or(is_local);
        if is_local && self.private_hosts.is_none() {
            return Reach { private_hosts: None, folders };
        }
        let mut hosts = self.private_hosts.clone().unwrap_or_default();
        hosts.extend(self.insecure_registries.iter().cloned());
        hosts.extend(own_places(listens));
        // Without a port, every port of the machine would be open.
        let own = self.url.as_deref().and_then(host_and_port);
        hosts.extend(own.map(|(host, port)| format!("{host}:{port}")));
        Reach { private_hosts: Some(hosts), folders }
    }
}

/// Where a server that listens here is found on its own machine, as `HOST:PORT`.
fn own_places(listens: SocketAddr) -> Vec<String> {
    let mut places = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{}", listens.port())).to_vec();
    places.push(listens.to_string());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_others_reach_lends_them_neither_its_machine_nor_its_network() {
        let decided = |text: &str, listens: &str| {
            let config: ServerConfig = toml::from_str(text).unwrap();
            let listens = listens.parse().unwrap();
            let reach = config.reach(listens);
            (config.host_jobs(listens), reach.folders, reach.private_hosts)
        };
        for local in [
            "",
            "url = \"http://localhost:7780\"",
            "url = \"http://127.0.0.1:7780/\"",
            "url = \"http://[::1]\"",
            "url = \"http://[::1]:7780/\"",
        ] {
            assert_eq!(decided(local, "127.0.0.1:7780"), (true, true, None), "{local}");
        }
        let proxies = [
            "url = \"https://ci.example.com\"",
            "cluster_url = \"https://10.0.0.5\"",
            "trusted_proxies = [\"127.0.0.1\"]",
        ];
        for behind_a_proxy in proxies {
            assert!(!decided(behind_a_proxy, "127.0.0.1:7780").0, "{behind_a_proxy}");
        }
        let (host_jobs, folders, hosts) =
            decided("url = \"https://ci.example.com\"\ninsecure_registries = [\"r.lan:5000\"]", "0.0.0.0:7780");
        assert!(!host_jobs && !folders);
        for host in ["r.lan:5000", "localhost:7780", "ci.example.com:443"] {
            assert!(hosts.as_ref().unwrap().iter().any(|one| one == host), "{host}: {hosts:?}");
        }
        let told = "local_repositories = true\nprivate_hosts = [\"git.lan\"]\n[agent]\nhost_jobs = true";
        let (host_jobs, folders, hosts) = decided(told, "0.0.0.0:7780");
        assert!(host_jobs && folders && hosts.unwrap().contains(&"git.lan".to_owned()));
        assert!(!decided("[agent]\nhost_jobs = false", "127.0.0.1:1").0);
    }

    #[test]
    fn a_server_reaches_its_own_registry_at_the_port_of_its_url() {
        for (url, place, name, is_insecure) in [
            ("http://ci.lan", "ci.lan:80", "ci.lan", true),
            ("https://ci.lan/", "ci.lan:443", "ci.lan", false),
            ("http://ci.lan:8080", "ci.lan:8080", "ci.lan:8080", true),
        ] {
            let config: ServerConfig = toml::from_str(&format!("url = \"{url}\"")).unwrap();
            let registries = config.registries("0.0.0.0:7780".parse().unwrap(), "word");
            let asked = registries.reach.private_hosts.unwrap();
            assert_eq!(asked.iter().filter(|host| host.starts_with("ci.lan")).collect::<Vec<_>>(), [place]);
            assert!(registries.own_accounts.iter().any(|own| own.host == name), "{url}");
            assert_eq!(registries.insecure_hosts.iter().any(|host| host == name), is_insecure, "{url}");
        }
    }
}
