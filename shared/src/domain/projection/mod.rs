//! What session and order are, given what their transactions are: a projection over all of them,
//! never a history (design 4.1), so that no order of arrival can leave a trace.
