//! A converter that imports a part of WASI 0.2.0, as the runtimes of other languages do. Its options are a script, one step a line; it logs
//! `step -> answer` for each.

wit_bindgen::generate!({
    path: "../../../wit/0.1.0",
    inline: r#"
        package test:wasi;

        world guest {
            include dropforge:converter/plugin@0.1.0;
            import wasi:cli/environment@0.2.0;
            import wasi:cli/exit@0.2.0;
            import wasi:cli/stdin@0.2.0;
            import wasi:cli/stdout@0.2.0;
            import wasi:cli/stderr@0.2.0;
            import wasi:clocks/monotonic-clock@0.2.0;
            import wasi:clocks/wall-clock@0.2.0;
            import wasi:filesystem/preopens@0.2.0;
            import wasi:random/random@0.2.0;
            import wasi:random/insecure@0.2.0;
            import wasi:random/insecure-seed@0.2.0;
            import wasi:sockets/instance-network@0.2.0;
            import wasi:sockets/ip-name-lookup@0.2.0;
            import wasi:sockets/tcp-create-socket@0.2.0;
        }

        package wasi:io@0.2.0 {
            interface error { resource error; }
            interface poll {
                resource pollable { block: func(); ready: func() -> bool; }
                poll: func(in: list<borrow<pollable>>) -> list<u32>;
            }
            interface streams {
                use error.{error};
                use poll.{pollable};
                variant stream-error { last-operation-failed(error), closed }
                resource input-stream {
                    blocking-read: func(len: u64) -> result<list<u8>, stream-error>;
                    subscribe: func() -> pollable;
                }
                resource output-stream {
                    blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                    subscribe: func() -> pollable;
                }
            }
        }
        package wasi:cli@0.2.0 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
                get-arguments: func() -> list<string>;
            }
            interface exit { exit: func(status: result); }
            interface stdin { use wasi:io/streams@0.2.0.{input-stream}; get-stdin: func() -> input-stream; }
            interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
            interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
        }
        package wasi:clocks@0.2.0 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.0.{pollable};
                now: func() -> u64;
                subscribe-duration: func(when: u64) -> pollable;
                subscribe-instant: func(when: u64) -> pollable;
            }
            interface wall-clock {
                record datetime { seconds: u64, nanoseconds: u32 }
                now: func() -> datetime;
            }
        }
        package wasi:random@0.2.0 {
            interface random { get-random-bytes: func(len: u64) -> list<u8>; get-random-u64: func() -> u64; }
            interface insecure { get-insecure-random-u64: func() -> u64; }
            interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }
        }
        package wasi:filesystem@0.2.0 {
            interface types { resource descriptor; }
            interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
        }
        package wasi:sockets@0.2.0 {
            interface network {
                resource network;
                enum error-code {
                    unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict, not-in-progress,
                    would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use, remote-unreachable,
                    connection-refused, connection-reset, connection-aborted, datagram-too-large, name-unresolvable,
                    temporary-resolver-failure, permanent-resolver-failure,
                }
                enum ip-address-family { ipv4, ipv6 }
            }
            interface instance-network { use network.{network}; instance-network: func() -> network; }
            interface ip-name-lookup {
                use network.{network, error-code};
                resource resolve-address-stream;
                resolve-addresses: func(network: borrow<network>, name: string) -> result<resolve-address-stream, error-code>;
            }
            interface tcp { resource tcp-socket; }
            interface tcp-create-socket {
                use network.{error-code, ip-address-family};
                use tcp.{tcp-socket};
                create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
            }
        }
    "#,
    world: "test:wasi/guest",
    generate_all,
});

use dropforge::converter::io::Input;
use dropforge::converter::log::{Level, log};
use exports::dropforge::converter::converter::{ConversionError, Descriptor, Guest, Outcome, ProbeResult};
use wasi::cli::{environment, exit, stderr, stdin, stdout};
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::filesystem::preopens;
use wasi::io::poll::poll;
use wasi::random::{insecure, insecure_seed, random};
use wasi::sockets::network::IpAddressFamily;
use wasi::sockets::{instance_network, ip_name_lookup, tcp_create_socket};

struct WasiGuest;
export!(WasiGuest);

impl Guest for WasiGuest {
    fn describe() -> Descriptor {
        Descriptor {
            name: "wasi-guest".into(),
            version: "0.1.0".into(),
            description: String::new(),
            patterns: Vec::new(),
            media_types_in: Vec::new(),
            media_types_out: Vec::new(),
            options_schema: String::new(),
            metrics: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn probe(_: &Input) -> ProbeResult {
        ProbeResult { confidence: 0, reason: String::new() }
    }

    fn convert(_: &Input, options: String) -> Result<Outcome, ConversionError> {
        for step in options.lines() {
            log(Level::Info, &format!("{step} -> {}", run(step)), &[]);
        }
        Ok(Outcome::Converted)
    }
}

fn run(step: &str) -> String {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    let number = || rest.parse::<u64>().unwrap_or_default();
    match verb {
        "now" => {
            let wall = wall_clock::now();
            format!("{} {} {}", monotonic_clock::now(), wall.seconds, wall.nanoseconds)
        }
        "sleep" => {
            monotonic_clock::subscribe_duration(number()).block();
            "slept".into()
        }
        "sleep-until" => {
            poll(&[&monotonic_clock::subscribe_instant(number())]);
            "slept".into()
        }
        "random" => format!("{:?} {}", random::get_random_bytes(number()), random::get_random_u64()),
        "many-random" => random::get_random_bytes(number()).len().to_string(),
        "insecure" => format!("{} {:?}", insecure::get_insecure_random_u64(), insecure_seed::insecure_seed()),
        "out" => format!("{:?}", stdout::get_stdout().blocking_write_and_flush(rest.replace("\\n", "\n").as_bytes()).is_ok()),
        "err" => format!("{:?}", stderr::get_stderr().blocking_write_and_flush(rest.replace("\\n", "\n").as_bytes()).is_ok()),
        "in" => {
            let stream = stdin::get_stdin();
            stream.subscribe().block();
            format!("{:?}", stream.blocking_read(10).map_err(|_| "ended"))
        }
        "poll" => {
            let (input, output) = (stdin::get_stdin(), stdout::get_stdout());
            format!("{:?}", poll(&[&input.subscribe(), &output.subscribe()]))
        }
        "environment" => format!("{:?} {:?}", environment::get_environment(), environment::get_arguments()),
        "folders" => preopens::get_directories().len().to_string(),
        "socket" => format!("{:?}", tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).map(|_| ())),
        "resolve" => {
            let network = instance_network::instance_network();
            format!("{:?}", ip_name_lookup::resolve_addresses(&network, rest).map(|_| ()))
        }
        "exit" => {
            exit::exit(Err(()));
            "still here".into()
        }
        unknown => format!("there is no step `{unknown}`"),
    }
}
