;; The least that a plugin can be: no imports, no inputs, and it succeeds at once. What a call of it takes, every call takes.
(component
  (type $failure' (variant (case "exit-code" s32) (case "invalid-input" string) (case "other" string)))
  (import "failure" (type $failure (eq $failure')))
  (core module $m
    (memory (export "memory") 1)
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "run" (core func $core-run))
  (func $run (result (result (error $failure))) (canon lift (core func $core-run) (memory $memory)))
  (export "run" (func $run)))
