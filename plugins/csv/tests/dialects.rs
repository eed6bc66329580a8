//! Small texts of many kinds, and how a person says that each is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{TestInput, convert};
use serde_json::json;

/// What a text is, and how a person says that it is written: `delimiter quote escape header columns`, then `+N` where N lines stand above
/// the table, and `#…` where lines that begin so are comments. A `.` is not looked at.
const CASES: &[(&str, &str, &str)] = &[
    ("plain", ", . . true 3", "serial,result,volts\nSN1,PASS,3.30\nSN2,FAIL,2.91\n"),
    (
        "station log, semicolons, decimal comma",
        "; . . true 4",
        "Serie;Datum;Spannung;Ergebnis\n0017;22.11.2026;3,30;OK\n0018;22.11.2026;2,91;NOK\n",
    ),
    ("decimal comma without a header", "; . . false 3", "1,5;2,25;OK\n1,6;2,30;OK\n1,7;2,40;NOK\n"),
    (
        "bank export with lines above",
        "; \" . true 4 +3",
        "Kontonummer;DE12 3456\nZeitraum;01.11.2026 - 22.11.2026\nSaldo;1.234,56 EUR\n\nBuchung;Empfänger;Zweck;Betrag\n02.11.2026;\"Müller; Söhne\";Miete;-850,00\n03.11.2026;Stadtwerke;Strom;-62,10\n04.11.2026;Arbeit;Gehalt;2.310,00\n",
    ),
    ("tabs", "tab . . true 3", "name\tage\tcity\nAda\t36\tLondon, UK\nBob\t41\tOslo, NO\n"),
    ("tabs with empty cells", "tab . . true 4", "id\ta\tb\tc\n1\t\t\t5\n2\t4\t\t\n3\t\t6\t\n"),
    ("pipes", "| . . true 3", "id|name|note\n1|Ada|a, b; c\n2|Bob|d\n"),
    ("colons", ": . . true 3", "user:uid:shell\nroot:0:/bin/sh\nada:1000:/bin/zsh\n"),
    (
        "passwd",
        ": . . false 7",
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nada:x:1000:1000:Ada:/home/ada:/bin/zsh\n",
    ),
    ("carets", "^ . . true 3", "id^name^score\n1^Ada, A.^9.5\n2^Bob, B.^8.25\n3^Cid, C.^7\n"),
    ("tildes", "~ . . true 3", "id~name~score\n1~Ada~9.5\n2~Bob~8.25\n3~Cid~7\n"),
    ("number signs", "# . . true 3", "id#name#score\n1#Ada#9.5\n2#Bob#8.25\n3#Cid#7\n"),
    ("asterisks", "* . . true 3", "id*name*score\n1*Ada*9.5\n2*Bob*8.25\n3*Cid*7\n"),
    ("ampersands", "& . . true 3", "id&name&score\n1&Ada&9.5\n2&Bob&8.25\n3&Cid&7\n"),
    ("unit separators", "\u{1f} . . true 3", "id\u{1f}name\u{1f}score\n1\u{1f}A, b\u{1f}9\n2\u{1f}C, d\u{1f}8\n"),
    ("control A, as Hive writes", "\u{1} . . false 3", "1\u{1}Ada\u{1}9.5\n2\u{1}Bob\u{1}8.5\n3\u{1}Cid\u{1}7.5\n"),
    ("double pipes", "|| . . true 3", "id||name||note\n1||Ada||a|b\n2||Bob||c\n3||Cid||d\n"),
    ("pipe, tilde, pipe", "|~| . . true 3", "id|~|name|~|note\n1|~|Ada, A|~|x\n2|~|Bob, B|~|y\n3|~|Cid, C|~|z\n"),
    ("double colons", ":: . . false 4", "1::1193::5::978300760\n1::661::3::978302109\n2::914::3::978301968\n"),
    ("double semicolons", ";; . . true 3", "id;;name;;note\n1;;Ada;;x\n2;;Bob;;y\n"),
    ("comma and space", ",␣ \" . true 3", "name, city, note\nAda, London, \"one, two\"\nBob, Oslo, \"three\"\n"),
    ("comma and spaces that line up", ",␣ . . true 3", "time,     x,      y\n0.0,    1.5,   -2.5\n0.1,   10.5,   12.5\n"),
    ("semicolon and space", ";␣ . . true 3", "a; b; c\n1,5; 2; x\n2,5; 3; y\n"),
    ("spaces", "space . . true 3", "time value state\n0.1 5 on\n0.2 6 off\n0.3 7 on\n"),
    ("spaces and quotes", "space \" . true 3", "id name state\n1 \"Ada Lovelace\" on\n2 \"Bob Ross\" off\n3 \"Cid\" on\n"),
    (
        "spaces that line up",
        "whitespace . . true 4",
        "  time   x1      x2   flag\n   0.1   5.25   -1.5   ok\n   0.2  15.25   -0.5   ok\n  10.3   5.75   11.5   no\n",
    ),
    ("fixed widths", "whitespace . . true 3", "name    age  city\nAda      36  London\nBob       4  Oslo\nCid     120  Rome\n"),
    ("space in front of numbers", "whitespace . . false 3", " 1.0  2.0  3.0\n 1.5 22.0  3.5\n 2.0  2.5 33.0\n"),
    ("single quotes", ", ' . true 2", "id,text\n1,'a, b'\n2,'c, d'\n3,'it''s'\n"),
    ("apostrophes are no quotes", ", . . true 2", "id,text\n1,don't\n2,it's\n3,'tis\n"),
    ("quotes around everything", ", \" . true 2", "\"id\",\"text\"\n\"1\",\"a, b\"\n\"2\",\"say \"\"hi\"\"\"\n"),
    ("escaped quotes", ", \" \\ true 2", "id,text\n1,\"say \\\"hi\\\", she said\"\n2,\"a \\\"b\\\" c\"\n"),
    ("paths are no escapes", ", . none true 2", "id,path\n1,C:\\temp\\new\n2,D:\\data\\x\n"),
    ("lines in quotes", ", \" . true 3", "id,text,n\n1,\"two\nlines; here\",5\n2,\"one\",6\n3,\"a\n\nb\",7\n"),
    ("inches", ", . . true 3", "part,size,qty\nbolt,3/4\",5\nnut,1/2\",7\npipe,2\",9\n"),
    ("json in cells", "; . . true 2", "id;payload\n1;{\"a\": 1, \"b\": [1, 2]}\n2;{\"a\": 2, \"b\": [3]}\n"),
    ("prose in cells", ", \" . true 3", "id,review,stars\n1,\"Good, cheap; and fast: yes.\",5\n2,\"Bad | ugly\",1\n3,\"Fine\",3\n"),
    ("times", ", . . true 2", "time,event\n10:00:01,start\n10:00:05,stop\n10:02:00,start\n"),
    ("dates and times by one space", ", . . true 2", "when,what\n2026-11-22 10:00:01,start\n2026-11-22 10:00:05,stop\n"),
    ("one column of numbers", ". . . true 1", "value\n1.5\n2.5\n3.5\n"),
    ("one column of times", ". . . false 1", "2026-11-22 10:00:00\n2026-11-22 10:00:01\n2026-11-22 10:00:02\n"),
    ("one column of names", ". . . true 1", "name\nAda Lovelace\nGrace Hopper\nAlan Turing\n"),
    ("one row", ", . . false 4", "17,3.5,ok,22\n"),
    ("a header alone", "; . . true 3", "serial;result;value\n"),
    ("one column of quoted prose", ". \" . . 1", "text\n\"one, two\"\n\"three\"\n\"four, five, six\"\n"),
    ("prose", ". . . . 1", "Dear all,\nplease find the file attached.\nIt has two sheets: one, and another; both are final.\nBye\n"),
    ("log lines", ". . . . 1", "started at ten\nwaiting for device one to answer\ndone\nstopped after a while\n"),
    ("comments above", ", . . true 2 #", "# exported by station 7\n# 2026-11-22, 10:00\nserial,value\nA1,5\nA2,6\n"),
    ("comments above and within", ", . . true 2 #", "# first\nserial,value\nA1,5\n# break\nA2,6\n"),
    ("names in a comment", "space . . true 3 +1", "# measured in volts\n# time x y\n0.1 5.5 6\n0.2 5.6 7\n0.3 5.7 8\n"),
    ("slashes as comments", "; . . true 2 //", "// made by X\nserial;value\nA1;5,5\nA2;6,5\n"),
    ("percent comments", ", . . false 3 %", "% scope trace\n% dt 1e-6\n0.0,1.5,2.5\n0.1,1.6,2.6\n"),
    ("a title above", ", . . true 3 +1", "Measurement report\n\ntime,x,y\n0,1.5,2.5\n1,1.6,2.6\n"),
    (
        "names and values above",
        ", . . true 4 +3",
        "Station,ST-7\nOperator,Ada\nStart,2026-11-22\n\nstep,value,low,high\nV1,3.3,3.0,3.6\nV2,5.0,4.8,5.2\nV3,1.8,1.7,1.9\n",
    ),
    ("a title in a full row", ", . . true 3 +2", "Report,,\n,,\ntime,x,y\n0,1.5,2.5\n1,1.6,2.6\n"),
    ("excel's sep", "; . . true 2 +1", "sep=;\na;b\n1,5;2\n2,5;3\n"),
    ("names and units", ", . . 2 3", "time,voltage,current\ns,V,mA\n0.1,3.3,12\n0.2,3.2,13\n0.3,3.1,14\n"),
    ("groups and names", ", . . 2 5", ",input,,output,\nserial,min,max,min,max\nA1,1,2,3,4\nA2,1,2,3,5\nA3,0,2,3,4\n"),
    ("a row with a cell less", ", . . true 4", "a,b,c,d\n1,2,3,4\n1,2,3\n1,2,3,4\n1,2,3,4\n"),
    ("a row with a cell more", ", . . true 3", "a,b,c\n1,2,3\n1,2,3,4\n1,2,3\n1,2,3\n"),
    ("rows that end in a delimiter", "; . . true 4", "a;b;c;\n1;2;3;\n4;5;6;\n"),
    ("carriage returns", ", . . true 2", "a,b\r1,2\r3,4\r"),
    ("mixed line ends", ", . . true 2", "a,b\r\n1,2\n3,4\r5,6\n"),
    ("markdown", "| . . . 5", "|name|age|city|\n|---|---|---|\n|Ada|36|London|\n|Bob|41|Oslo|\n"),
    ("duplicate and empty names", ", . . . 4", "id,,value,value\n1,x,2,3\n2,y,3,4\n"),
    ("money", ", \" . true 3", "item,price,qty\nbolt,\"$1,250.00\",2\nnut,$0.10,100\nwasher,$3.00,7\n"),
    ("thousands by points", "; . . true 2", "Stadt;Einwohner\nOslo;709.037\nBergen;291.940\nTromsø;77.992\n"),
    ("addresses", ", . . true 3", "host,address,port\na.example.com,10.0.0.1,80\nb.example.com,10.0.0.2,443\n"),
    ("links", "; . . true 2", "name;link\na;https://example.com/?a=1,2&b=3\nb;https://example.com/x,y\n"),
    ("codes without a header", ", . . false 3", "SN0001,A-17,PASS\nSN0002,A-18,PASS\nSN0003,A-19,FAIL\nSN0004,A-20,PASS\n"),
    ("codes with a header", ", . . true 2", "serial,batch\nSN0001,A17\nSN0002,A18\nSN0003,A19\n"),
    ("booleans", ", . . true 3", "name,active,admin\nada,true,false\nbob,false,false\n"),
    ("missing values", ", . . true 3", "id,x,y\n1,NA,2.5\n2,3.5,NA\n3,n/a,1.5\n4,1.0,2.0\n"),
    ("a footnote", ", . . true 3", "region,year,count\nNorth,2025,17\nSouth,2025,18\nEast,2025,3\n\nSource: the office of numbers, 2026\n"),
    (
        "a web server's log",
        "space \" . false 8",
        "10.0.0.1 - - [22/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 512\n10.0.0.2 - - [22/Nov/2026:10:00:01 +0000] \"GET /a HTTP/1.1\" 404 12\n10.0.0.3 - - [22/Nov/2026:10:00:03 +0000] \"GET /b HTTP/1.1\" 200 77\n",
    ),
    ("many columns", "tab . . true 12", "a\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\n1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\n"),
];

#[test]
fn each_text_is_read_as_a_person_says() {
    let mut wrong = Vec::new();
    for (name, expected, text) in CASES {
        let run = convert::<Csv>(TestInput::new("table.csv", *text), json!({}));
        let document = &run.documents[0];
        let attribute = |name: &str| document.attribute(name).unwrap_or_default().to_string();
        let mut found = vec![
            attribute("csv.delimiter") + if attribute("csv.skip_initial_space") == "true" { "␣" } else { "" },
            attribute("csv.quote"),
            attribute("csv.escape"),
            attribute("csv.header"),
            attribute("csv.columns"),
        ];
        let above = attribute("csv.preamble").lines().count();
        found.extend((above > 0).then(|| format!("+{above}")));
        found.extend(Some(attribute("csv.comment")).filter(|comment| !comment.is_empty()));
        let expected: Vec<&str> = expected.split(' ').collect();
        let fits =
            found.len() == expected.len() && found.iter().zip(&expected).all(|(found, expected)| *expected == "." || found == expected);
        if !fits {
            wrong.push(format!("{name}: {} instead of {}", found.join(" "), expected.join(" ")));
        }
    }
    assert!(wrong.is_empty() && CASES.len() > 70, "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}
