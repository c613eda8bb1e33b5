/** @file The one door to teachers: a table of the ways to run one. */
import { graph } from "./graph.ts";
import { onnx } from "./onnx.ts";
import type { DescribedTeacher, OpenOptions, Teacher, TeacherKind, TeacherSpec } from "./teacher.ts";

/** A teacher is of the first kind that accepts it; onnx accepts what is left. */
const kinds = { graph, onnx } satisfies Record<string, TeacherKind>;

const findKind = (spec: TeacherSpec): TeacherKind =>
  Object.values<TeacherKind>(kinds).find(({ accepts }) => accepts(spec))!;

/**
 * What there is to know of a teacher before it is loaded; nothing is started.
 * @throws naming the folder and what it lacks.
 */
export const describeTeacher = (spec: TeacherSpec): DescribedTeacher => ({
  ...spec,
  ...findKind(spec).describe(spec),
});

/** Loads a teacher. @throws what loading it throws; then nothing of it is left running. */
export const openTeacher = (teacher: DescribedTeacher, options: OpenOptions): Promise<Teacher> =>
  findKind(teacher).open(teacher, options);
