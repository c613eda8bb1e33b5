;; AdamW (Loshchilov & Hutter, 2019) on a block of float32 numbers, four at a time.
;; `npm run kernel` assembles it into adamw.wasm.
(module
  ;; value, first moment, second moment and gradient, 16 KiB each: what the processor's cache holds
  (memory (export "memory") 1)
  (func (export "step")
    (param $bytes i32) (param $beta1 f32) (param $beta2 f32) (param $epsilon f32)
    (param $gradientScale f32) (param $decayFactor f32) (param $rate f32) (param $correction f32)
    (local $at i32) (local $g v128) (local $m v128) (local $v v128)
    (loop $next
      (local.set $g
        (f32x4.mul (f32x4.splat (local.get $gradientScale)) (v128.load offset=49152 (local.get $at))))
      ;; m + (1 − β₁)·(g − m)
      (local.set $m (v128.load offset=16384 (local.get $at)))
      (local.set $m
        (f32x4.add
          (local.get $m)
          (f32x4.mul
            (f32x4.splat (f32.sub (f32.const 1) (local.get $beta1)))
            (f32x4.sub (local.get $g) (local.get $m)))))
      (v128.store offset=16384 (local.get $at) (local.get $m))
      ;; v + (1 − β₂)·(g² − v)
      (local.set $v (v128.load offset=32768 (local.get $at)))
      (local.set $v
        (f32x4.add
          (local.get $v)
          (f32x4.mul
            (f32x4.splat (f32.sub (f32.const 1) (local.get $beta2)))
            (f32x4.sub (f32x4.mul (local.get $g) (local.get $g)) (local.get $v)))))
      (v128.store offset=32768 (local.get $at) (local.get $v))
      ;; decayFactor·value − rate·m / (correction·√v + ε)
      (v128.store
        (local.get $at)
        (f32x4.sub
          (f32x4.mul (f32x4.splat (local.get $decayFactor)) (v128.load (local.get $at)))
          (f32x4.div
            (f32x4.mul (f32x4.splat (local.get $rate)) (local.get $m))
            (f32x4.add
              (f32x4.mul (f32x4.splat (local.get $correction)) (f32x4.sqrt (local.get $v)))
              (f32x4.splat (local.get $epsilon))))))
      (br_if $next
        (i32.lt_u
          (local.tee $at (i32.add (local.get $at) (i32.const 16)))
          (local.get $bytes))))))
