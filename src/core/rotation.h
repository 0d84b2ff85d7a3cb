/*
 * rotation.h
 *	  A rotation of the coordinates after which the blocks of a code share the variance evenly.
 *
 * NOTES
 *	  4 bits a block serve best where each block has an equal part of what is to be coded and its
 *	  dimensions are not correlated with those of others: principal axes, dealt out to the blocks so
 *	  that the products of their variances are even ("eigenvalue allocation" of Ge, He, Ke and Sun,
 *	  Optimized Product Quantization, 2013, parametric solution). A rotation changes no distance and
 *	  no inner product, so nothing else need know of it.
 */
#ifndef ANN_CORE_ROTATION_H
#define ANN_CORE_ROTATION_H

#include "core/base.h"

/* Bytes of workspace for ann_rotation_train. */
extern size_t ann_rotation_workspace_size(int dim);

/*
 * Makes the rotation for num_rows rows (dim floats each; what will be coded, of mean about 0) in
 * blocks of width dimensions. rotation: dim * dim floats out, row i the axis of the new dimension
 * i; orthonormal up to float rounding. Time O(num_rows dim^2 + dim^3). *found is false, and
 * rotation undefined, where the axes cannot be told (values that overflow). Deterministic for one
 * kernel table. The watch counts rows, and each dimension twice.
 */
extern AnnStatus ann_rotation_train(const float *rows, size_t num_rows, int dim, int width,
									float *rotation, bool *found, AnnWatch *watch, void *workspace);

/*
 * Rotates num rows of dim floats: out = rows * rotation^T (rows of both dim floats apart; they must
 * not overlap). The floats of a row's result do not depend on the other rows.
 */
extern void
ann_rotation_apply(const float *rotation, int dim, const float *rows, int num, float *out);

/* The other way: out = rotation^T * row, dim floats. */
extern void ann_rotation_revert(const float *rotation, int dim, const float *row, float *out);

/*
 * Eigenvalues and -vectors of a symmetric matrix (num * num doubles, row after row; destroyed):
 * values[i] in no order, vectors + i * num the unit vector of values[i]. scratch: 2 * num doubles.
 * *found is false where the iteration does not converge (values that are not finite). The watch
 * counts 2 * num.
 */
extern AnnStatus ann_eigen(double *matrix, int num, double *values, double *vectors,
						   double *scratch, bool *found, AnnWatch *watch);

#endif
