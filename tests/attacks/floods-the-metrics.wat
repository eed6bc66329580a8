;; Observes 100,000 series of one metric.
;;! ends: converted
;;! says: its limit `metric_series`
;;! limits: metric_series = 10

;; The name of the counter begins where the descriptor says; its length is there too. The label is the number, in letters.
(func $convert (param $input i32) (param i32 i32) (result i32)
  (local $n i32) (local $metric i32)
  (local.set $metric (i32.load (i32.const 1080)))
  (i32.store (i32.const 16384) (i32.const 16392))
  (i32.store (i32.const 16388) (i32.const 4))
  (loop $l
    (i32.store (i32.const 16392) (i32.add (i32.const 0x21212121)
      (i32.or (i32.and (local.get $n) (i32.const 63))
        (i32.or (i32.shl (i32.and (local.get $n) (i32.const 4032)) (i32.const 2)) (i32.shl (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 16))))))
    (call $observe (i32.load (local.get $metric)) (i32.load (i32.add (local.get $metric) (i32.const 4))) (f64.const 1) (i32.const 16384) (i32.const 1))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 100000))))
  (call $drop_input (local.get $input))
  (i32.const 768))
