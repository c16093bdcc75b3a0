// How structured ops become a row kernel: one loop over rows, everything fused into it; in a row each op is a loop over
// ${TILE} columns, reductions with as many partial sums; all of it vectors. Both sequences are entry points.
module attributes {transform.with_named_sequence} {
  transform.named_sequence @reduction(%op: !transform.any_op {transform.readonly}) -> !transform.any_op {
    transform.match.operation_name %op ["linalg.generic"] : !transform.any_op
    %r = transform.match.structured failures(propagate) %op : (!transform.any_op) -> !transform.any_op {
    ^bb0(%s: !transform.any_op):
      transform.match.structured.dim %s[-1] {reduction} : !transform.any_op
      transform.match.structured.yield %s : !transform.any_op
    }
    transform.yield %r : !transform.any_op
  }
  transform.named_sequence @pointwise(%op: !transform.any_op {transform.readonly}) -> !transform.any_op {
    transform.match.operation_name %op ["linalg.generic"] : !transform.any_op
    %r = transform.match.structured failures(propagate) %op : (!transform.any_op) -> !transform.any_op {
    ^bb0(%s: !transform.any_op):
      %rank = transform.match.structured.rank %s : (!transform.any_op) -> !transform.param<i64>
      %two = transform.param.constant 2 : i64 -> !transform.param<i64>
      transform.match.param.cmpi eq %rank, %two : !transform.param<i64>
      transform.match.structured.dim %s[all] {parallel} : !transform.any_op
      transform.match.structured.yield %s : !transform.any_op
    }
    transform.yield %r : !transform.any_op
  }
  transform.named_sequence @tile_reduction(%op: !transform.any_op {transform.consumed}) {
    %fill, %split, %combine, %loop = transform.structured.tile_reduction_using_for %op by tile_sizes = [0, ${TILE}]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
  transform.named_sequence @tile_pointwise(%op: !transform.any_op {transform.consumed}) {
    %t, %loop = transform.structured.tile_using_for %op tile_sizes [0, ${TILE}] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
  transform.named_sequence @tile(%m: !transform.any_op {transform.readonly}) {
    %mat = transform.structured.match ops{["bufferization.materialize_in_destination"]} in %m : (!transform.any_op) -> !transform.any_op
    %last = transform.get_producer_of_operand %mat[0] : (!transform.any_op) -> !transform.any_op
    %t, %loop = transform.structured.fuse %last tile_sizes [1, 0] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %f0 = transform.structured.match ops{["func.func"]} in %m : (!transform.any_op) -> !transform.any_op
    transform.apply_patterns to %f0 {
      transform.apply_patterns.tensor.fold_tensor_empty
      transform.apply_patterns.canonicalization
    } {apply_cse} : !transform.any_op
    %row = transform.structured.match ops{["scf.for"]} in %f0 : (!transform.any_op) -> !transform.any_op
    %gs = transform.structured.match ops{["linalg.generic"]} in %row : (!transform.any_op) -> !transform.any_op
    transform.foreach %gs : !transform.any_op {
    ^bb0(%g: !transform.any_op):
      transform.foreach_match restrict_root flatten_results in %g @reduction -> @tile_reduction, @pointwise -> @tile_pointwise : (!transform.any_op) -> !transform.any_op
    }
    transform.yield
  }
  transform.named_sequence @vectorize(%m: !transform.any_op {transform.readonly}) {
    %ops = transform.structured.match interface{LinalgOp} in %m : (!transform.any_op) -> !transform.any_op
    transform.foreach %ops : !transform.any_op {
    ^bb0(%op: !transform.any_op):
      transform.structured.vectorize %op : !transform.any_op
    }
    %f = transform.structured.match ops{["func.func"]} in %m : (!transform.any_op) -> !transform.any_op
    transform.apply_patterns to %f {
      transform.apply_patterns.canonicalization
      transform.apply_patterns.tensor.fold_tensor_subset_ops_into_vector_transfers
      transform.apply_patterns.vector.cast_away_vector_leading_one_dim
    } {apply_cse} : !transform.any_op
    transform.yield
  }
}
