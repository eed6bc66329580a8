;; Spins when it has answered and is to free what it answered.
;;! ends: job timeout
;;! says: its limit of wall time
;;! limits: wall_seconds = 0.5

(func (export "cabi_post_dropforge:converter/converter@0.1.0#convert") (param i32) (loop $l (br $l)))
