//! Each feature makes another component that the host has to refuse, by name.

#[cfg(feature = "unknown")]
mod guest {
    wit_bindgen::generate!({
        inline: r#"
            package test:misfit;
            world misfit {
                import example:net/sockets@1.0.0;
                import dropforge:converter/log@0.1.0;
                import now: func() -> u64;
                export run: func();
            }
            package example:net@1.0.0 { interface sockets { resource socket { send: func(); } open: func() -> socket; } }
            package dropforge:converter@0.1.0 { interface log { flush: func(); } }
        "#,
        world: "test:misfit/misfit",
        generate_all,
    });

    struct Misfit;
    export!(Misfit);

    impl Guest for Misfit {
        fn run() {
            example::net::sockets::open().send();
            dropforge::converter::log::flush();
            now();
        }
    }
}

#[cfg(feature = "import-type")]
mod guest {
    wit_bindgen::generate!({
        inline: r#"
            package test:misfit;
            world misfit { import dropforge:converter/log@0.1.0; export dropforge:converter/converter@0.1.0; }
            package dropforge:converter@0.1.0 {
                interface log { log: func(message: string); }
                interface converter { describe: func(); probe: func(); convert: func(); }
            }
        "#,
        world: "test:misfit/misfit",
        generate_all,
    });

    struct Misfit;
    export!(Misfit);

    impl exports::dropforge::converter::converter::Guest for Misfit {
        fn describe() {
            dropforge::converter::log::log("");
        }
        fn probe() {}
        fn convert() {}
    }
}

#[cfg(feature = "no-export")]
mod guest {
    wit_bindgen::generate!({ inline: "package test:misfit; world misfit { export run: func(); }" });

    struct Misfit;
    export!(Misfit);

    impl Guest for Misfit {
        fn run() {}
    }
}

#[cfg(feature = "few-exports")]
mod guest {
    wit_bindgen::generate!({
        inline: r#"
            package test:misfit;
            world misfit { export dropforge:converter/converter@0.1.0; }
            package dropforge:converter@0.1.0 { interface converter { describe: func(); } }
        "#,
        world: "test:misfit/misfit",
        generate_all,
    });

    struct Misfit;
    export!(Misfit);

    impl exports::dropforge::converter::converter::Guest for Misfit {
        fn describe() {}
    }
}

#[cfg(feature = "export-type")]
mod guest {
    wit_bindgen::generate!({
        inline: r#"
            package test:misfit;
            world misfit { export dropforge:converter/converter@0.1.0; }
            package dropforge:converter@0.1.0 { interface converter { describe: func(); probe: func(); convert: func(); } }
        "#,
        world: "test:misfit/misfit",
        generate_all,
    });

    struct Misfit;
    export!(Misfit);

    impl exports::dropforge::converter::converter::Guest for Misfit {
        fn describe() {}
        fn probe() {}
        fn convert() {}
    }
}
