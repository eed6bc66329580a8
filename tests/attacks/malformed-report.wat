;; Makes a document of a media type that has a schema, and it is not even JSON: it is cut off.
;;! ends: job bad_output
;;! says: report.json
;;! says: at /root
;;! says: it is not JSON: EOF while parsing

(data (i32.const 16384) "application/vnd.wats.wsjf+json")
(data (i32.const 16420) "report.json")
(data (i32.const 16440) "{\"id\":\"1\",\"root\":{")
(func $convert (param $input i32) (param i32 i32) (result i32)
  (call $create (i32.const 16384) (i32.const 30) (i32.const 16420) (i32.const 11) (i32.const 512))
  (call $write (i32.load (i32.const 516)) (i32.const 16440) (i32.const 18) (i32.const 600))
  (call $finish (i32.load (i32.const 516)) (i32.const 600))
  (call $drop_document (i32.load (i32.const 516)))
  (call $drop_input (local.get $input))
  (i32.const 768))
