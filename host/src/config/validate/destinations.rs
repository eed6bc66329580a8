//! What types cannot say of destinations and servers: addresses, credentials, headers.

use super::{MAX_LABEL_BYTES, Report, check_url};
use crate::config::{
    Address, Config, CredentialKeys, Destination, FolderDestination, HttpDestination, ObjectStoreDestination, Route, path_pattern,
};

/// Headers that Dropforge sets itself, each with what to do instead.
const OWN_HEADERS: [(&str, &str); 6] = [
    ("authorization", "name a `token_file`, a `token_env` or a `user`"),
    ("proxy-authorization", "set the proxy in the environment"),
    ("content-length", "it is the document's length"),
    ("content-type", "it is the document's media type"),
    ("host", "it is the URL's"),
    ("transfer-encoding", "it is chosen by what the server speaks"),
];

const STORE_SCHEMES: [&str; 6] = ["s3://", "s3a://", "gs://", "az://", "azure://", "file:///"];

impl Report {
    /// `[upstream]` and `[http]`.
    pub(super) fn servers(&mut self, config: &Config) {
        if let Some(upstream) = &config.upstream {
            if let Err(message) = check_url(&upstream.url) {
                self.error("upstream.url", message);
            }
            self.credentials("upstream", upstream.credentials());
            for (index, pattern) in upstream.lookup_paths.iter().enumerate() {
                if let Err(message) = path_pattern(pattern) {
                    self.error(format!("upstream.lookup_paths[{index}]"), message);
                }
            }
        }
        if let Some(tracing) = &config.tracing {
            if let Err(message) = check_url(&tracing.endpoint) {
                let message =
                    message.replace("put a token into a file and name that as `token_file`", "put a header for it into `headers_file`");
                self.error("tracing.endpoint", message);
            }
            if tracing.headers_file.is_some() && tracing.headers_env.is_some() {
                self.error("tracing.headers_env", "`headers_file` is there, too; write one of the two");
            }
            if tracing.service_name.is_empty() || tracing.service_name.len() > MAX_LABEL_BYTES {
                self.error("tracing.service_name", format!("a name has 1 to {MAX_LABEL_BYTES} bytes"));
            }
        }
        if let Some(proxy) = &config.http.proxy
            && let Err(message) = check_url(proxy)
        {
            self.error(
                "http.proxy",
                message.replace("put a token into a file and name that as `token_file`", "set HTTPS_PROXY in the environment instead"),
            );
        }
    }

    /// The destinations of a route; `path` is the route's.
    pub(super) fn destinations(&mut self, path: &str, route: &Route, config: &Config) {
        for (index, destination) in route.destinations.iter().enumerate() {
            let path = format!("{path}.destinations[{index}]");
            if let Some(name) = destination.name()
                && (name.is_empty() || name.len() > MAX_LABEL_BYTES || name.contains(char::is_control))
            {
                self.error(format!("{path}.name"), format!("a name has 1 to {MAX_LABEL_BYTES} bytes and no control characters"));
            }
            if let Some(first) = route.destinations.iter().take(index).position(|other| other.label() == destination.label()) {
                self.error(format!("{path}.name"), format!("destinations[{first}] has the same; give one of them another `name`"));
            }
            self.shared_name(&path, destination, config);
            match destination {
                Destination::Folder(folder) => self.folder_destination(&path, folder),
                Destination::Http(http) => self.http_destination(&path, http, config),
                Destination::ObjectStore(store) => self.store_destination(&path, store),
            }
        }
    }

    /// What is down for one is down for all of a name, so a name must mean one place.
    fn shared_name(&mut self, path: &str, destination: &Destination, config: &Config) {
        let place = |destination: &Destination| match destination {
            Destination::Folder(folder) => ("folder", folder.path.display().to_string()),
            Destination::Http(http) => ("http", http.url.clone()),
            Destination::ObjectStore(store) => ("object-store", store.url.clone()),
        };
        let others = config.routes.iter().flat_map(|route| &route.destinations);
        if destination.name().is_some()
            && others.into_iter().any(|other| other.label() == destination.label() && place(other) != place(destination))
        {
            self.error(format!("{path}.name"), format!("`{}` is another destination's name, too; give each its own", destination.label()));
        }
    }

    fn folder_destination(&mut self, path: &str, folder: &FolderDestination) {
        let key = format!("{path}.file_name");
        if let Err(error) = Address::parse(&folder.file_name) {
            return self.error(key, error.to_string());
        }
        let bad = |part: &str| part.is_empty() || part == "." || part == "..";
        if folder.file_name.contains('\\') || folder.file_name.split('/').any(bad) {
            self.error(
                key,
                format!("{:?} is no name of a file in the folder; write one such as \"{{date}}/{{unique_name}}\"", folder.file_name),
            );
        }
    }

    fn http_destination(&mut self, path: &str, http: &HttpDestination, config: &Config) {
        let key = format!("{path}.url");
        if http.url.starts_with('/') {
            if config.upstream.is_none() {
                self.error(&key, "it is a path on the server of `upstream`, and there is none; add an [upstream] table with its `url`");
            }
            if http.url.contains(char::is_whitespace) {
                self.error(&key, format!("{:?} has a space; write %20 for it", http.url));
            }
        } else if let Err(message) = check_url(&http.url) {
            self.error(&key, message);
        } else if authority(&http.url).contains(['{', '}']) {
            self.error(&key, "the server's name cannot have parts; write one destination for each server");
        }
        if let Err(error) = Address::parse(&http.url) {
            self.error(&key, error.to_string());
        }
        for (name, value) in &http.headers {
            self.header(format!("{path}.headers.{name}"), name, value);
        }
        self.credentials(path, http.credentials());
    }

    fn header(&mut self, key: String, name: &str, value: &str) {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return self.error(key, format!("{name:?} cannot be the name of a header"));
        }
        if let Some((_, instead)) = OWN_HEADERS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            return self.error(key, format!("this header is set by Dropforge: {instead}"));
        }
        if value.contains(char::is_control) {
            return self.error(key, "the value of a header has no control characters");
        }
        if let Err(error) = Address::parse(value) {
            self.error(key, error.to_string());
        }
    }

    fn credentials(&mut self, path: &str, keys: CredentialKeys<'_>) {
        let tokens = usize::from(keys.token_file.is_some()) + usize::from(keys.token_env.is_some());
        let passwords = usize::from(keys.password_file.is_some()) + usize::from(keys.password_env.is_some());
        match keys.user {
            _ if tokens + usize::from(keys.user.is_some()) > 1 => {
                self.error(format!("{path}.token_file"), "there is more than one of `token_file`, `token_env` and `user`; write one");
            }
            Some(user) if user.contains(':') || user.contains(char::is_control) => {
                self.error(format!("{path}.user"), "a user name has no colon and no control characters");
            }
            Some(_) if passwords != 1 => {
                self.error(format!("{path}.user"), "it needs its password: write one of `password_file` and `password_env`");
            }
            None if passwords > 0 => self.error(format!("{path}.user"), "there is a password and no user; write `user`"),
            _ => {}
        }
    }

    fn store_destination(&mut self, path: &str, store: &ObjectStoreDestination) {
        let scheme = STORE_SCHEMES.iter().find_map(|scheme| store.url.strip_prefix(scheme));
        if scheme.is_none_or(str::is_empty) || store.url.contains(char::is_whitespace) {
            self.error(
                format!("{path}.url"),
                format!("{:?} is no object store; write \"s3://bucket/prefix\", \"gs://…\", \"az://…\" or \"file:///folder\"", store.url),
            );
        } else if store.url.contains(['{', '}', '?', '#', '@']) {
            self.error(
                format!("{path}.url"),
                "it has a character that is not allowed there; parts of documents go into `key`, credentials into the environment",
            );
        }
        let key = format!("{path}.key");
        match Address::parse(&store.key) {
            Err(error) => self.error(key, error.to_string()),
            Ok(address) if !address.tells_documents_apart() => self.error(
                key,
                "objects of different documents could have this key, and the last would replace the others; add {id}, {short_id}, \
                 {report_id} or {unique_name}",
            ),
            Ok(_) => {}
        }
    }
}

fn authority(url: &str) -> &str {
    url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next()).unwrap_or_default()
}
