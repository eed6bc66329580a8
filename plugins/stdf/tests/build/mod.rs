//! Makes STDF files, in both byte orders.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Big,
    Little,
}

/// A file, and where its records begin.
pub struct Built {
    pub bytes: Vec<u8>,
    starts: Vec<usize>,
    order: Order,
}

/// A field.
pub enum F<'f> {
    U1(u8),
    U2(u16),
    U4(u32),
    R4(f32),
    Cn(&'f str),
    Raw(&'f [u8]),
}

use F::*;

impl Built {
    pub fn new(order: Order) -> Built {
        let mut built = Built { bytes: Vec::new(), starts: Vec::new(), order };
        built.add((0, 10), &[U1(if order == Order::Big { 1 } else { 2 }), U1(4)]);
        built
    }

    fn number(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.order == Order::Little {
            bytes.reverse();
        }
        bytes
    }

    pub fn add(&mut self, kind: (u8, u8), fields: &[F<'_>]) {
        let mut body = Vec::new();
        for field in fields {
            match field {
                U1(value) => body.push(*value),
                U2(value) => body.extend(self.number(value.to_be_bytes().to_vec())),
                U4(value) => body.extend(self.number(value.to_be_bytes().to_vec())),
                R4(value) => body.extend(self.number(value.to_be_bytes().to_vec())),
                Cn(text) => {
                    body.push(text.len() as u8);
                    body.extend(text.as_bytes());
                }
                Raw(bytes) => body.extend(*bytes),
            }
        }
        self.starts.push(self.bytes.len());
        self.bytes.extend(self.number((body.len() as u16).to_be_bytes().to_vec()));
        self.bytes.extend([kind.0, kind.1]);
        self.bytes.extend(body);
    }

    /// The body of a record, from the first byte behind its header.
    pub fn body(&mut self, record: usize) -> &mut [u8] {
        let start = self.starts[record] + 4;
        &mut self.bytes[start..]
    }

    /// Makes another kind of a record.
    pub fn kind(&mut self, record: usize, kind: (u8, u8)) {
        let start = self.starts[record];
        self.bytes[start + 2..start + 4].copy_from_slice(&[kind.0, kind.1]);
    }

    fn master(&mut self) {
        // Setup and start, station number, four codes with the burn-in time among them, lot, part type, node, tester type, job.
        let codes = [U1(1), Raw(b"P  "), U2(65535), Raw(b" ")];
        let mut fields = vec![U4(1_700_000_000), U4(1_700_000_100)];
        fields.extend(codes);
        fields.extend(["LOT", "TYPE", "NODE", "TESTER", "JOB", "1.0"].map(Cn));
        self.add((1, 10), &fields);
    }

    fn begin(&mut self, site: u8) {
        self.add((5, 10), &[U1(1), U1(site)]);
    }

    fn end(&mut self, site: u8, flags: u8, id: &str) {
        let at = 0x8000;
        self.add((5, 20), &[U1(1), U1(site), U1(flags), U2(1), U2(1), U2(65535), U2(at), U2(at), U4(250), Cn(id)]);
    }
}

/// FAR, MIR, three parts of PIR, PTR and PRR each, MRR: the middle part's are the records 5 to 7.
pub fn three_parts() -> Built {
    let mut built = Built::new(Order::Little);
    built.master();
    for id in ["1", "2", "3"] {
        built.begin(1);
        built.add((15, 10), &[U4(1), U1(1), U1(1), U1(0), U1(0), R4(1.5), Cn("Vdd")]);
        built.end(1, 0, id);
    }
    built.add((1, 20), &[U4(1_700_000_500)]);
    built
}

/// Parts A (site 1) and B (site 2) at once, B at its end first; then C, which ended abnormally.
pub fn two_sites(order: Order) -> Built {
    let mut built = Built::new(order);
    built.master();
    built.add((1, 60), &[U2(3), U2(0), Cn("ch3"), Cn("p3"), Cn("CLK"), U1(1), U1(1)]);
    built.begin(1);
    built.begin(2);
    built.add((20, 10), &[Cn("DC")]);
    // The first record of the test has all of it: limits 4.5 (which passes) and 5.25 (which fails), and the unit.
    let scale = [U1(0x02), U1(0), U1(0), U1(0)];
    let mut vdd = vec![U4(1), U1(1), U1(1), U1(0), U1(0x40), R4(4.5), Cn("Vdd"), Cn("")];
    vdd.extend(scale);
    vdd.extend([R4(4.5), R4(5.25), Cn("V")]);
    built.add((15, 10), &vdd);
    built.add((15, 10), &[U4(1), U1(1), U1(2), U1(0x80), U1(0x40), R4(5.5)]);
    for site in [1, 2] {
        // Two results on pins 3 and 7, each with a state of half a byte; a high limit alone.
        let mut leak = vec![U4(2), U1(1), U1(site), U1(0), U1(0xc0), U2(2), U2(2), Raw(&[0x21]), R4(1e-9), R4(2e-9), Cn("Leak"), Cn("")];
        leak.extend([U1(0x42), U1(0), U1(0), U1(0), R4(0.0), R4(1e-6), R4(0.0), R4(0.0), U2(3), U2(7), Cn("A")]);
        built.add((15, 15), &leak);
    }
    built.add((20, 20), &[]);
    for (site, flags) in [(1, 0), (2, 0x80)] {
        let mut scan = vec![U4(3), U1(1), U1(site), U1(flags), U1(0x36), U4(77), U4(0), U4(0), U4(2), U4(0), U4(0), U2(0), U2(0), U2(0)];
        scan.extend([U2(0), Cn("chain1"), Cn(""), Cn(""), Cn("Scan")]);
        built.add((15, 20), &scan);
    }
    built.end(2, 0x08, "B");
    built.end(1, 0, "A");
    built.begin(1);
    built.add((15, 10), &[U4(1), U1(1), U1(1), U1(0), U1(0x40), R4(5.0)]);
    built.end(1, 0x04, "C");
    built.add((1, 20), &[U4(1_700_000_500)]);
    built
}

/// FAR and WIR.
pub fn wafer_alone() -> Built {
    let mut built = Built::new(Order::Little);
    built.add((2, 10), &[U1(1), U1(1), U4(0x62b0_d126), Cn("W1")]);
    built
}
