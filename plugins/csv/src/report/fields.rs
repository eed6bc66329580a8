//! What a column is: the fields of a report, and the names that files have for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a cell says of a unit or of one of its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The serial number.
    Serial,
    /// The part number.
    PartNumber,
    /// The revision.
    Revision,
    /// The operation (process): its code, or a name that the option `operations` knows.
    Operation,
    /// The station.
    Station,
    /// Where the station stands.
    Location,
    /// What the station is for.
    Purpose,
    /// Who tested.
    Operator,
    /// When the test began; or its date, where `time` has the rest.
    Start,
    /// The time that belongs to the date in `start`.
    Time,
    /// When the test ended.
    End,
    /// How long the test took, in seconds.
    Duration,
    /// How the unit's test ended.
    Result,
    /// The name of the test program.
    Sequence,
    /// The version of the test program.
    SequenceVersion,
    /// The batch (lot).
    Batch,
    /// The fixture.
    Fixture,
    /// The number of the place in a panel or fixture.
    Socket,
    /// What a test is called.
    Step,
    /// What kind of test it is: a number, a judgement, a text.
    StepType,
    /// The group (sequence) that a test belongs to.
    Group,
    /// What was measured.
    Value,
    /// Its unit.
    Unit,
    /// The low limit.
    Low,
    /// The high limit.
    High,
    /// How the limits are compared: `GELE`, `>=`…
    Comparator,
    /// The text that a text is compared with.
    Expected,
    /// How the test ended.
    Status,
    /// How long the test took, in seconds.
    StepTime,
    /// The number of the error.
    ErrorCode,
    /// What else there is to say: of the test, or of the unit where each has one row.
    Message,
}

use Field::*;

/// The names of each field, without case and punctuation.
const NAMES: &[(Field, &[&str])] = &[
    (
        Serial,
        &[
            "serialnumber",
            "serial",
            "serialno",
            "serialnum",
            "sn",
            "uutserialnumber",
            "uutserial",
            "uutsn",
            "dutserialnumber",
            "dutsn",
            "unitserialnumber",
            "boardserialnumber",
            "barcode",
            "dutid",
            "unitid",
        ],
    ),
    (PartNumber, &["partnumber", "partno", "partnum", "part", "pn", "productnumber", "itemnumber", "articlenumber", "product", "model"]),
    (Revision, &["revision", "rev", "partrevision", "productrevision", "hardwarerevision", "hwrevision"]),
    (Operation, &["operationcode", "processcode", "operationtype", "operation", "process", "testoperation"]),
    (Station, &["station", "stationname", "stationid", "teststation", "machine", "machinename"]),
    (Location, &["location", "stationlocation"]),
    (Purpose, &["purpose", "stationpurpose"]),
    (Operator, &["operator", "operatorname", "operatorid", "user", "username"]),
    (
        Start,
        &[
            "start",
            "starttime",
            "startdatetime",
            "startdate",
            "teststart",
            "teststarttime",
            "testdate",
            "testdatetime",
            "datetime",
            "timestamp",
            "date",
        ],
    ),
    (Time, &["time"]),
    (End, &["end", "endtime", "enddatetime", "enddate", "testend", "stop", "stoptime", "finished"]),
    (Duration, &["duration", "testduration", "executiontime", "exectime", "elapsedtime", "cycletime"]),
    (Result, &["result", "testresult", "overallresult", "unitresult", "uutresult", "finalresult", "verdict"]),
    (Sequence, &["sequencename", "testprogram", "testprogramname", "program", "programname", "testplan"]),
    (SequenceVersion, &["sequenceversion", "testprogramversion", "programversion"]),
    (Batch, &["batch", "batchnumber", "batchsn", "lot", "lotnumber", "lotid"]),
    (Fixture, &["fixture", "fixtureid"]),
    (Socket, &["socket", "socketindex", "testsocket", "site", "slot", "nest"]),
    (
        Step,
        &[
            "testname",
            "stepname",
            "test",
            "step",
            "testitem",
            "item",
            "parameter",
            "parametername",
            "characteristic",
            "measurementname",
            "measurement",
        ],
    ),
    (StepType, &["steptype", "testtype", "type"]),
    (Group, &["group", "groupname", "testgroup", "stepgroup"]),
    (Value, &["value", "measuredvalue", "measured", "reading", "actual", "actualvalue"]),
    (Unit, &["unit", "units", "uom", "unitofmeasure", "unitofmeasurement"]),
    (Low, LOW),
    (High, HIGH),
    (Comparator, &["comparator", "compop", "comparison", "comparisonoperator"]),
    (Expected, &["expected", "expectedvalue"]),
    (Status, STATUS),
    (StepTime, &["steptime", "stepduration"]),
    (ErrorCode, &["errorcode"]),
    (Message, &["message", "errormessage", "comment", "comments", "remark", "remarks", "note", "notes"]),
];

const LOW: &[&str] =
    &["lowlimit", "lowerlimit", "lolimit", "limitlow", "low", "lower", "min", "minimum", "minlimit", "limitmin", "lsl", "ll"];
const HIGH: &[&str] =
    &["highlimit", "upperlimit", "hilimit", "limithigh", "high", "upper", "max", "maximum", "maxlimit", "limitmax", "usl", "ul", "hl"];
const STATUS: &[&str] =
    &["status", "teststatus", "stepstatus", "stepresult", "pass", "passed", "passfail", "judgement", "judgment", "outcome"];
const UNIT: &[&str] = &["unit", "units", "uom"];
const COMPARATOR: &[&str] = &["comparator", "compop", "comparison"];

/// A name without case and punctuation: `Serial_Number` and `serial number` are one.
pub fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Every field with its names.
pub fn all() -> impl Iterator<Item = (Field, &'static [&'static str])> {
    NAMES.iter().copied()
}

/// Which part of a measurement a column holds whose name begins with the measurement's and goes on like this: `Vout low limit`; or a row
/// below the header that begins with it.
pub fn part(plain: &str) -> Option<Field> {
    let plain = plain.strip_suffix("limits").map_or(plain.into(), |rest| format!("{rest}limit"));
    [(Low, LOW), (High, HIGH), (Unit, UNIT), (Status, STATUS), (Comparator, COMPARATOR)]
        .into_iter()
        .find_map(|(field, names)| names.contains(&plain.as_str()).then_some(field))
}
