/** @file Mutations of important formulas, each of which a test must catch; see mutate.ts. */
import { type Areas, fusion } from "./mutations-fusion.ts";

export const areas: Areas = {
  ...fusion,
  "src/train/schedule.ts": {
    tests: ["test/train/schedule.test.ts"],
    changes: [
      ["Math.PI * progress", "(Math.PI / 2) * progress"],
      ["(step + 1)) / warmupSteps", "step) / warmupSteps"],
      ["Math.min(1, (step - warmupSteps)", "Math.min(2, (step - warmupSteps)"],
      ["Math.max(1, steps - warmupSteps)", "Math.max(1, steps)"],
      ["((1 - floor) *", "(1 *"],
    ],
  },
  "src/adapters/lora.ts": {
    tests: ["test/adapters/golden.test.ts"],
    changes: [
      ["Math.sqrt(rank) : rank", "rank : rank"],
      ["b.mul(narrow_Tr, b.scalar(scale))", "narrow_Tr"],
    ],
  },
  "src/adapters/merge.ts": {
    tests: ["test/adapters/golden.test.ts", "test/adapters/zoo.test.ts"],
    changes: [
      ["transposed ? [1, to] : [from, 1]", "[from, 1]"],
      ["+= scale * delta_K[k]", "+= delta_K[k]"],
    ],
  },
  "src/adapters/initial.ts": {
    tests: ["test/adapters/zoo.test.ts"],
    changes: [["1 / Math.sqrt(shape[1])", "1 / shape[1]"]],
  },
  "src/train/adamw.ts": {
    tests: ["test/train/adamw.test.ts"],
    changes: [
      ["(1 - beta1 ** step)", "(1 - beta1)"],
      ["Math.sqrt(1 - beta2 ** step)", "Math.sqrt(1 - beta2)"],
      ["shape.length > 1 ?", "true ?"],
      ["learningRate * weightDecay", "weightDecay"],
    ],
  },
  "src/train/trainer.ts": {
    tests: ["test/train/trainer.test.ts"],
    changes: [
      ["Math.min(1, this.#options.clip", "Math.max(1, this.#options.clip"],
      ["weights[t] * value * probabilities[t * entries]", "weights[t] * value"],
    ],
  },
  "src/onnx/resident-arrays.ts": {
    tests: ["test/onnx/resident.test.ts"],
    changes: [
      ["last?.owned && last.data", "last?.data"],
      [" && last.data !== value.data", ""],
      ["data: zeros(dtype, shape), owned: true", "data: zeros(dtype, shape).fill(1), owned: true"],
    ],
  },
  "src/train/state.ts": {
    tests: ["test/train/state.test.ts", "test/train/trainer.test.ts"],
    changes: [
      ["this.#steps++", "this.#steps = 1"],
      ["this.#steps = steps", "this.#steps = 0"],
      ["`${key}.${name}`", "`${name}`"],
    ],
  },
  "src/autodiff/backward.ts": {
    tests: ["test/train/trainer.test.ts"],
    changes: [["sum ? b.add(sum, seed) : seed", "seed"]],
  },
  "src/models/tokens.ts": {
    tests: ["test/models/blocks.test.ts"],
    changes: [
      ["Math.max(0, start - window + 1)", "Math.max(0, start - window + 2)"],
      ["end - window > keyStart", "end - window > keyStart + 1"],
      ["keyDocuments, keyEnd - end)", "keyDocuments, 0)"],
      [
        "slidingMask(b, end - start, keys, window, keyEnd - end)",
        "slidingMask(b, end - start, keys, window)",
      ],
    ],
  },
  "src/autodiff/recompute.ts": {
    tests: ["test/train/recompute.test.ts"],
    changes: [
      ["b.barrier(values.get(entry) ?? entry, ...finished)", "values.get(entry) ?? entry"],
      ["b.barrier(values.get(entry) ?? entry, ...finished)", "b.barrier(entry, finished.at(-1)!)"],
      ["values.get(input) ?? input", "input"],
    ],
  },
  "src/train/loss.ts": {
    tests: ["test/train/trainer.test.ts"],
    changes: [
      ["b.mul(q, b.scalar(-1))", "b.mul(q, b.scalar(-0.5))"],
      ["b.mul(weight, b.gemm(dz_CV, head_VD))", "b.gemm(dz_CV, head_VD)"],
      ["b.mul(weight, hidden_CD)", "hidden_CD"],
    ],
  },
  "src/graph/elementwise.ts": {
    tests: ["test/autodiff/gradients.test.ts"],
    changes: [
      ["b.mul(b.scalar(2), output)", "output"],
      ["b.sub(b.scalar(1), output)", "output"],
      ["2 / Math.sqrt(Math.PI)", "1"],
      ["1 / Math.sqrt(2 * Math.PI)", "1"],
    ],
  },
  "src/graph/reductions.ts": {
    tests: ["test/autodiff/gradients.test.ts"],
    changes: [["b.scalar(1 / count)", "b.scalar(1)"]],
  },
  "src/graph/layout.ts": {
    tests: ["test/autodiff/gradients.test.ts"],
    changes: [["permutation.indexOf(axis)", "permutation[axis]"]],
  },
  "src/graph/products.ts": {
    tests: ["test/autodiff/gradients.test.ts"],
    changes: [
      ["transposeA: transposeB, transposeB: true, scale", "transposeA: transposeB, transposeB: true"],
    ],
  },
  "src/graph/fused.ts": {
    tests: ["test/autodiff/gradients.test.ts"],
    changes: [
      ["b.reduceSum(b.mul(g, p)", "b.reduceSum(b.mul(g, g)"],
      ["b.mul(sin, b.scalar(-1))", "sin"],
      ["b.sub(centre(s),", "b.sub(s,"],
    ],
  },
  "src/score/rows.ts": {
    tests: ["test/score/rows.test.ts"],
    changes: [
      ["lengths[b] - lengths[a]", "lengths[a] - lengths[b]"],
      ["|| a - b", "|| b - a"],
      ["used + lengths[i] <= rowLength", "used + lengths[i] < rowLength"],
      ["filled[row] += lengths[i]", "filled[row] = lengths[i]"],
    ],
  },
  "streams/stages/align.ts": {
    tests: ["test/streams/align.test.ts"],
    changes: [
      ["meanNll(encoding, nll, unit)", 'meanNll(encoding, nll, "byte")'],
      ['meanNll(encoding, nll, "byte")', "meanNll(encoding, nll, unit)"],
      ["nllAtTokens(encoding, nll, target)", "nllAtTokens(target, nll, encoding)"],
    ],
  },
  "streams/stages/train.ts": {
    tests: ["test/streams/train.test.ts", "test/streams/stages.test.ts"],
    changes: [
      ['reported === "kl" ? fusedEntropy(batches)', 'reported === "kl" ? 0'],
      ["(loss - nllPart) / fusion", "loss / fusion"],
      ["learningRate(options, step)", "learningRate(options, step + 1)"],
    ],
  },
  "src/fusion/soft-targets.ts": {
    tests: ["test/fusion/soft-targets.test.ts"],
    changes: [
      ["probabilities[i] / fused", "probabilities[i]"],
      ["weights[t] * (1 - probabilities[t * entries])", "weights[t]"],
      ["entropy -= weights[t] * probabilities[i]", "entropy -= probabilities[i]"],
    ],
  },
  "src/fusion/row-means.ts": {
    tests: ["test/fusion/row-means.test.ts"],
    changes: [
      ["this.#end = -tokensTaken", "this.#end = 0"],
      ["tokens * nll", "nll"],
      ["nll / tokens", "nll"],
      ["end <= full", "end < full"],
      ["Math.max(0, start)", "start"],
    ],
  },
  "streams/stages/fuse.ts": {
    tests: ["test/streams/pack.test.ts", "test/streams/stages.test.ts"],
    changes: [
      ["stepsBefore * tokensPerStep - tokensTaken", "stepsBefore * tokensPerStep"],
      ["RowMeans<Aligned>(rowLength, tokensTaken)", "RowMeans<Aligned>(rowLength, 0)"],
      ["({ nlls }) => nlls[t]", "({ nll }) => nll"],
      ["step / steps", "(step + 1) / steps"],
    ],
  },
  "streams/stages/pack.ts": {
    tests: ["test/streams/pack.test.ts", "test/streams/statistics.test.ts", "test/streams/stages.test.ts"],
    changes: [
      ["if (boundaries || this.length", "if (this.length"],
      ["let first = resume.tokensTaken", "let first = 0"],
      ["at - this.#positionBase", "at"],
      ["tokensTaken: t + 1", "tokensTaken: t"],
      ["this.#document++", "this.#document = 0"],
      ["ids[0]", "ids[1]"],
      ["first = 0;", "first = resume.tokensTaken;"],
      ["ids.length - 1)", "ids.length)"],
      ["nllPerByte * bytes", "nllPerByte"],
      ["if (t === 0) statistics.push", "statistics.push"],
    ],
  },
  "streams/run/statistics.ts": {
    tests: ["test/streams/statistics.test.ts"],
    changes: [
      ['ratio(sum("dropped"), aligned)', 'ratio(sum("dropped"), positions)'],
      ['ratio(sum("tail"), aligned)', 'ratio(sum("tail"), positions)'],
      ['ratio(sum("credit"), positions)', 'ratio(sum("credit"), aligned)'],
      ["before.unaligned + block.unaligned", "block.unaligned"],
      ["a.bytes + b.bytes", "b.bytes"],
    ],
  },
  "src/generate/sample.ts": {
    tests: ["test/generate/sample.test.ts"],
    changes: [
      ["(count > 0 ? presencePenalty : 0)", "presencePenalty"],
      ["count * frequencyPenalty", "frequencyPenalty"],
      ["own[id] > 0 ? 1 / repetitionPenalty :", "own[id] > 99 ? 1 / repetitionPenalty :"],
      ["own[id] += bias", "own[id] = bias"],
      ["if (topK > 0) sorted.splice(topK);", ""],
      ["mass < topP * whole", "mass < topP * total"],
      [" && weights_V[id] >= minP", ""],
      ["(logits_V[id] - max) / temperature", "(logits_V[id] - max) * temperature"],
      ["rest = random * mass", "rest = random * total"],
      ["this.#counts.set(prompt[i], 0)", "this.#counts.set(prompt[i], 1)"],
      ["(this.#counts.get(id) ?? 0) + 1", "1"],
    ],
  },
  "src/generate/logits.ts": {
    tests: ["test/generate/logits.test.ts"],
    changes: [
      ["logits[id] > logits[best])", "logits[id] >= logits[best])"],
      ["logits[id] > logits[best[at - 1]]", "logits[id] >= logits[best[at - 1]]"],
      ["max + Math.log(sum)", "Math.log(sum)"],
      ["logits[token] - normalizer", "logits[token]"],
    ],
  },
  "src/generate/rows.ts": {
    tests: ["test/generate/engine.test.ts"],
    changes: [
      ["prompt.length - 1)", "prompt.length)"],
      ["length - (length % prefillChunk)", "length"],
      ["sequence.scores.nll[length - 1] = 0;", ""],
    ],
  },
  "src/generate/engine.ts": {
    tests: ["test/generate/engine.test.ts"],
    changes: [
      ["free.includes(best) ? best : ", ""],
      ["const kept = scored ? 0 : cached[row];", "const kept = cached[row];"],
      ["if (scored) return;", ""],
      ["this.#cachedTokens += length - row.tokens.length;", "this.#cachedTokens += length;"],
      ["a.id - b.id", "b.id - a.id"],
      ["from + 1, from + 1 + chunk.length", "from, from + chunk.length"],
      ["this.#model.swapRows(one, other);", ""],
      ["this.#model.copyRow(from, to, length);", ""],
      ["tokens.length = Math.min(tokens.length, this.#model.capacity);", ";"],
      ["tokens.length) + 1]", "tokens.length) - 1]"],
    ],
  },
  "src/generate/kv-cache.ts": {
    tests: ["test/generate/kv-cache.test.ts"],
    changes: [
      ["this.#lengths[to] = length;", ""],
      ["[lengths[one], lengths[other]] = [lengths[other], lengths[one]];", ""],
      ["capacity * 4 <=", "capacity * 2 <="],
      ["= position + s;", "= position;"],
      ["= position + S;", "= S;"],
    ],
  },
  "src/onnx/row-arrays.ts": {
    tests: ["test/generate/kv-cache.test.ts"],
    changes: [
      ["Math.floor(head / groups)", "head % groups"],
      ["+ positions[row])", ")"],
      ["subarray(first * size, (first + count) * size)", "subarray(0, count * size)"],
      ["tensor.set(kept, b);", ""],
      ["this.#capacity + positions", "64 + positions"],
    ],
  },
  "src/evaluate/ensemble.ts": {
    tests: ["test/evaluate/ensemble.test.ts"],
    changes: [
      ["sum / texts.length", "sum"],
      ["sums[segment - 1] += nll[t]", "sums[segment] += nll[t]"],
      ["cuts[segment] < ends[t + 1]", "cuts[segment] <= ends[t + 1]"],
      ["Math.exp(best - nll[i])", "Math.exp(-nll[i])"],
    ],
  },
  "src/evaluate/bits-per-byte.ts": {
    tests: ["test/evaluate/bits-per-byte.test.ts"],
    changes: [
      [" / Math.LN2", ""],
      [" - (ends[0] ?? 0)", ""],
      ["sum.bytes +=", "sum.bytes ="],
    ],
  },
  "src/evaluate/multiple-choice.ts": {
    tests: ["test/evaluate/accuracy.test.ts"],
    changes: [
      ["values.indexOf(", "values.lastIndexOf("],
      ["correctNorm / count", "correct / count"],
      ["correct / count", "correct"],
    ],
  },
  "streams/stages/read.ts": {
    tests: ["test/streams/cursors.test.ts"],
    changes: [
      ["file++, first = 0)", "file++)"],
      ["epoch++, file = 0)", "epoch++)"],
      ["readRows(path, first", "readRows(path, 0"],
    ],
  },
  "streams/stages/shuffle.ts": {
    tests: ["test/streams/cursors.test.ts"],
    changes: [
      ["from.nth ?? 0", "0"],
      ["skip = 0;", ""],
      ["random() * (i + 1)", "random() * i"],
      ["Math.imul(epoch + 1, 0x9e3779b1) ^ ", ""],
      ["cursor: { epoch, file, row, nth }", "cursor: { epoch, file, row, nth: nth + 1 }"],
    ],
  },
  "src/flow/operators.ts": {
    tests: ["test/flow/flow.test.ts"],
    changes: [["if (weight < total) continue;", "if (weight <= total) continue;"]],
  },
};
