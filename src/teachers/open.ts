/** @file The one door to teachers: a table of the ways to run one. */
import { graph } from "./graph.ts";
import { onnx } from "./onnx.ts";
import type { DescribedTeacher, OpenOptions, Teacher, TeacherKind, TeacherSpec } from "./teacher.ts";

/** The first kind that accepts a teacher runs it; onnx accepts any. */
const kinds = { graph, onnx } satisfies Record<string, TeacherKind>;

const findKind = (spec: TeacherSpec): TeacherKind =>
  Object.values<TeacherKind>(kinds).find(({ accepts }) => accepts(spec))!;

/**
 * Describes a teacher without loading it.
 * @throws naming the folder and what it lacks.
 */
export const describeTeacher = (spec: TeacherSpec): DescribedTeacher => ({
  ...spec,
  ...findKind(spec).describe(spec),
});

/** Loads a teacher. @throws what loading throws; nothing is left running then. */
export const openTeacher = (teacher: DescribedTeacher, options: OpenOptions): Promise<Teacher> =>
  findKind(teacher).open(teacher, options);
